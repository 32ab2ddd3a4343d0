"""The method on the drawn data of tools/make_sample_dataset.py, in two minutes on two cores.

A narrower network without pretrained weights, small images, a short schedule; DenseCRF's weight and
bandwidths are those for maps of this size.
"""

_base_ = "./deeplabv3plus_mobilenet_scribble.py"

crop_size = (112, 112)
classes = ("background", "boat", "bottle", "cow", "pottedplant", "sheep", "tvmonitor")
cross_entropy = dict(type="CrossEntropyLoss", avg_non_ignore=True, loss_weight=1.0)
# `--losses NAME ...` of tools/compare_losses.py and tools/visualize_densecrf.py takes any of them.
regularized_losses = {
    name: dict(sigma_rgb=15, sigma_xy=20, scale_factor=0.5, loss_name=f"loss_{name}") | loss
    for name, loss in dict(
        densecrf=dict(type="DenseCRFLoss", loss_weight=5e-6),
        normalized=dict(type="DenseCRFLoss", loss_weight=1.5, normalize=True),
        dense_energy=dict(type="DenseEnergyLoss", loss_weight=5e-6),
        normalized_cut=dict(type="NormalizedCutLoss", loss_weight=0.1),
        kernel_cut=dict(type="KernelCutLoss", loss_weight=0.1, densecrf_weight=15.0),
        self_label=dict(type="SelfLabelLoss", loss_weight=1.0, sigma_rgb=10),
    ).items()
}
regularized_losses["neighbour_potts"] = dict(  # has no sigma_xy
    type="NeighbourPottsLoss",
    loss_weight=1.0,
    sigma_rgb=10,
    scale_factor=0.5,
    loss_name="loss_neighbour_potts",
)
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=crop_size),
    backbone=dict(widen_factor=0.5),
    decode_head=dict(
        in_channels=160,
        channels=64,
        c1_in_channels=16,
        c1_channels=16,
        dilations=(1, 3, 6, 9),
        num_classes=len(classes),
        loss_decode=[regularized_losses["densecrf"], cross_entropy],
    ),
    auxiliary_head=None,
)

data_root = "{{ fileDirname }}/../data/sample"
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

max_iters = 600
optimizer = dict(_delete_=True, type="AdamW", lr=3e-3, weight_decay=0.01)
optim_wrapper = dict(optimizer=optimizer, paramwise_cfg=None)
warmup_iters = 50
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, begin=0, end=warmup_iters, by_epoch=False),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=warmup_iters, end=max_iters, by_epoch=False),
]
train_cfg = dict(
    _delete_=True, type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters
)
default_hooks = dict(
    logger=dict(interval=25, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=200, save_best=None),
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)  # `make train` gives the same result every time
