"""The recipe on a scale at which an iteration takes a fraction of a second on the CPU."""

_base_ = "../../configs/deeplabv3plus_mobilenet_scribble.py"

crop_size = (64, 64)
norm_cfg = dict(type="BN")  # of several processes on the CPU, which SyncBN does not serve
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=crop_size),
    backbone=dict(widen_factor=0.25, norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=80,
        channels=8,
        c1_in_channels=8,
        c1_channels=8,
        norm_cfg=norm_cfg,
        loss_decode=[
            dict(type="CrossEntropyLoss", avg_non_ignore=True),
            # A weight that shows in the four decimals of the log.
            dict(type="DenseCRFLoss", loss_weight=1e-5, sigma_rgb=15, sigma_xy=20),
        ],
    ),
    auxiliary_head=dict(in_channels=24, channels=8, norm_cfg=norm_cfg),
)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="LoadRegionOfInterest"),
    dict(type="RandomResize", scale=(96, 80), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackScribbleInputs"),
]
workers = dict(num_workers=0, persistent_workers=False)
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline), **workers)
val_dataloader = dict(**workers)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1))
