"""The method on PASCAL VOC's images of animals and persons, in a few minutes on two cores.

Seven classes, pretrained weights, a narrower head, small crops and a short schedule: the setting of
the tables in docs/results.md.
"""

_base_ = "./deeplabv3plus_mobilenet_scribble.py"

crop_size = (192, 192)
batch_size = 8
classes = ("background", "cat", "cow", "dog", "horse", "person", "sheep")
cross_entropy = dict(type="CrossEntropyLoss", avg_non_ignore=True, loss_weight=1.0)
# `--losses NAME ...` of tools/compare_losses.py and tools/visualize_densecrf.py takes any of them.
regularized_losses = {
    name: dict(sigma_rgb=15, sigma_xy=50, scale_factor=0.5, loss_name=f"loss_{name}") | loss
    for name, loss in dict(
        densecrf=dict(type="DenseCRFLoss", loss_weight=1e-6),
        normalized=dict(type="DenseCRFLoss", loss_weight=1.5, normalize=True),
        dense_energy=dict(type="DenseEnergyLoss", loss_weight=1e-6),
        normalized_cut=dict(type="NormalizedCutLoss", loss_weight=0.1),
        kernel_cut=dict(type="KernelCutLoss", loss_weight=0.1, densecrf_weight=15.0),
        # Goes without the warm-up in deeplabv3plus_mobilenet_scribble_self_label_animals.py.
        self_label=dict(type="SelfLabelLoss", loss_weight=1.0, sigma_rgb=10, sigma_xy=40),
    ).items()
}
regularized_losses["neighbour_potts"] = dict(  # has no sigma_xy
    type="NeighbourPottsLoss",
    loss_weight=1.0,
    sigma_rgb=10,
    scale_factor=0.5,
    loss_name="loss_neighbour_potts",
)
warmup_iters = 200  # by cross entropy alone
custom_hooks = [
    dict(type="ProvideImagesHook"),
    dict(type="ChannelsLastHook"),
    dict(type="RegularizedLossWarmupHook", iters=warmup_iters),
]
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(
        channels=128,
        c1_channels=32,
        num_classes=len(classes),
        norm_cfg=norm_cfg,
        loss_decode=[regularized_losses["normalized"], cross_entropy],
    ),
    auxiliary_head=None,
)

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
    batch_size=batch_size,
    num_workers=1,
    sampler=dict(type="InfiniteSampler"),
    dataset=dict(metainfo=dict(classes=classes), pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(metainfo=dict(classes=classes), pipeline=test_pipeline),
)
test_dataloader = val_dataloader

max_iters = 600
optimizer = dict(_delete_=True, type="AdamW", lr=3e-4, weight_decay=0.01)
optim_wrapper = dict(optimizer=optimizer)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=50, end=max_iters, by_epoch=False),
]
train_cfg = dict(
    _delete_=True, type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max_iters
)
default_hooks = dict(
    logger=dict(interval=25, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=warmup_iters, save_best=None),
)
log_processor = dict(by_epoch=False)
