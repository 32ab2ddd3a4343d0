"""PASCAL VOC: training on scribbles, in crops of 513; validation on full masks.

No colour jitter, which would falsify the affinities, and no `cat_max_ratio`, which would turn away
the crops that show no scribble.
"""

_base_ = [__import__("mmseg").__path__[0] + "/.mim/configs/_base_/datasets/pascal_voc12.py"]
dataset_type = "PascalScribbleDataset"
data_root = "{{$PASCAL_SCRIBBLE_ROOT:data/pascal_scribble}}"
crop_size = (513, 513)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="LoadRegionOfInterest"),
    dict(type="LoadImageTags"),  # for SelfLabelLoss; the others make no use of them
    dict(type="RandomResize", scale=(2052, 513), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackScribbleInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(2052, 513), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    batch_size=12,
    num_workers=6,
    sampler=dict(_delete_=True, type="DefaultSampler", shuffle=True),
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        split="train",
        labels="scribble",
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=6,
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        split="val",
        labels="mask",
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
