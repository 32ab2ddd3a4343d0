"""DeepLabV3+ MobileNetV2 from PASCAL VOC's scribbles, by the recipe of rloss (ECCV 2018).

docs/recipe.md sets every flag of rloss's command line against its line here.
"""

# To find its base, MMEngine evaluates this assignment alone, without the file's imports. The form
# "mmseg::..." would need pkg_resources, which setuptools 81 dropped.
_base_ = [
    __import__("mmseg").__path__[0]
    + "/.mim/configs/mobilenet_v2/mobilenet-v2-d8_deeplabv3plus_4xb4-160k_ade20k-512x512.py"
]
custom_imports = dict(imports=["mmseg_rloss"], allow_failed_imports=False)
custom_hooks = [dict(type="ProvideImagesHook")]

# Model: output stride 16, VOC's classes, cross entropy on the scribbles, DenseCRF everywhere.
crop_size = (513, 513)
batch_size = 12
# rloss divides its cross entropy, the mean over the labelled pixels, by the batch size too; its
# learning rate and its weight of DenseCRF were chosen for that.
cross_entropy = dict(type="CrossEntropyLoss", avg_non_ignore=True, loss_weight=1 / batch_size)
# `--losses NAME ...` of tools/compare_losses.py and tools/visualize_densecrf.py takes any of them.
regularized_losses = {
    name: dict(sigma_rgb=15, sigma_xy=100, scale_factor=0.5, loss_name=f"loss_{name}") | loss
    for name, loss in dict(
        densecrf=dict(type="DenseCRFLoss", loss_weight=1.5e-9),
        normalized=dict(type="DenseCRFLoss", loss_weight=1.5 / batch_size, normalize=True),
        dense_energy=dict(type="DenseEnergyLoss", loss_weight=1.5e-9),
        normalized_cut=dict(type="NormalizedCutLoss", loss_weight=0.1 / batch_size),
        kernel_cut=dict(type="KernelCutLoss", loss_weight=0.1 / batch_size, densecrf_weight=15.0),
        self_label=dict(type="SelfLabelLoss", loss_weight=1 / batch_size, sigma_rgb=10),
    ).items()
}
regularized_losses["neighbour_potts"] = dict(  # has no sigma_xy
    type="NeighbourPottsLoss",
    loss_weight=1 / batch_size,
    sigma_rgb=10,
    scale_factor=0.5,
    loss_name="loss_neighbour_potts",
)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(strides=(1, 2, 2, 2, 1, 1, 1), dilations=(1, 1, 1, 1, 1, 1, 2)),
    decode_head=dict(
        num_classes=21,
        dilations=(1, 6, 12, 18),
        # In this order: MMSegmentation's cross entropy waits for the GPU, which would then idle
        # until the next loss is launched.
        loss_decode=[regularized_losses["densecrf"], cross_entropy],
    ),
    auxiliary_head=dict(
        num_classes=21,
        loss_decode=dict(
            type="CrossEntropyLoss", avg_non_ignore=True, loss_weight=0.4 / batch_size
        ),
    ),
)

# Data: no colour jitter, which would falsify the affinities, and no `cat_max_ratio`, which would
# turn away the crops that show no scribble.
dataset_type = "PascalScribbleDataset"
data_root = "{{$PASCAL_SCRIBBLE_ROOT:data/pascal_scribble}}"
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
    batch_size=batch_size,
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

# Schedule: 50 epochs of SGD, the learning rate of the heads ten times that of the backbone.
optimizer = dict(type="SGD", lr=0.007, momentum=0.9, weight_decay=5e-4)
optim_wrapper = dict(
    optimizer=optimizer, paramwise_cfg=dict(custom_keys={"head": dict(lr_mult=10.0)})
)
max_epochs = 50
param_scheduler = [
    dict(
        type="PolyLR",
        power=0.9,
        eta_min=0.0,
        begin=0,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
train_cfg = dict(_delete_=True, type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=2)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=True),
    checkpoint=dict(by_epoch=True, interval=2, save_best="mIoU"),
)
log_processor = dict(by_epoch=True)
