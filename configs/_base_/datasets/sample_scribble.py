"""The drawn images of tools/make_sample_dataset.py, in crops of 112."""

_base_ = "./pascal_scribble.py"
data_root = "{{ fileDirname }}/../../../data/sample"
classes = ("background", "boat", "bottle", "cow", "pottedplant", "sheep", "tvmonitor")
crop_size = (112, 112)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="LoadRegionOfInterest"),
    dict(type="LoadImageTags"),
    dict(type="RandomResize", scale=(480, 120), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackScribbleInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    num_workers=1,
    sampler=dict(type="InfiniteSampler"),
    dataset=dict(data_root=data_root, metainfo=dict(classes=classes), pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(data_root=data_root, metainfo=dict(classes=classes), pipeline=test_pipeline),
)
test_dataloader = val_dataloader
