"""Seven of PASCAL VOC's classes, animals and persons, in crops of 192."""

_base_ = "./pascal_scribble.py"
classes = ("background", "cat", "cow", "dog", "horse", "person", "sheep")
crop_size = (192, 192)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="LoadRegionOfInterest"),
    dict(type="LoadImageTags"),
    dict(type="RandomResize", scale=(768, 192), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackScribbleInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(768, 192), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    sampler=dict(type="InfiniteSampler"),
    dataset=dict(metainfo=dict(classes=classes), pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(metainfo=dict(classes=classes), pipeline=test_pipeline),
)
test_dataloader = val_dataloader
