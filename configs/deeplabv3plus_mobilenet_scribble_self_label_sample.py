"""Self-labelling in the setting of deeplabv3plus_mobilenet_scribble_sample.py."""

_base_ = "./deeplabv3plus_mobilenet_scribble_sample.py"

self_label = dict(type="SelfLabelLoss", sigma_rgb=10, sigma_xy=20, scale_factor=0.5)
model = dict(decode_head=dict(loss_decode=[{{_base_.cross_entropy}}, self_label]))
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="LoadRegionOfInterest"),
    dict(type="LoadImageTags"),
    dict(type="RandomResize", scale=(480, 120), ratio_range=(0.75, 1.5), keep_ratio=True),
    dict(type="RandomCrop", crop_size={{_base_.crop_size}}),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackScribbleInputs"),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
