"""SegFormer MiT-B0 from PASCAL VOC's scribbles by self-labelling.

MMSegmentation's config for ADE20K with the data and the losses of
deeplabv3plus_mobilenet_scribble_self_label.py and a schedule for fewer images.
"""

# To find its base, MMEngine evaluates this assignment alone, without the file's imports. The form
# "mmseg::..." would need pkg_resources, which setuptools 81 dropped.
_base_ = [
    __import__("mmseg").__path__[0]
    + "/.mim/configs/segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py"
]
custom_imports = dict(imports=["mmseg_rloss"], allow_failed_imports=False)
custom_hooks = [dict(type="ProvideImagesHook")]

crop_size = (512, 512)
cross_entropy = dict(type="CrossEntropyLoss", avg_non_ignore=True)
# `--losses NAME ...` of tools/compare_losses.py and tools/visualize_densecrf.py takes any of them.
regularized_losses = {
    name: dict(sigma_rgb=15, sigma_xy=100, scale_factor=0.5, loss_name=f"loss_{name}") | loss
    for name, loss in dict(
        densecrf=dict(type="DenseCRFLoss", loss_weight=1.8e-8),
        normalized=dict(type="DenseCRFLoss", loss_weight=1.5, normalize=True),
        dense_energy=dict(type="DenseEnergyLoss", loss_weight=1.8e-8),
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
    pretrained={{_base_.checkpoint}},
    backbone=dict(init_cfg=None),
    decode_head=dict(num_classes=21, loss_decode=[regularized_losses["self_label"], cross_entropy]),
)

dataset_type = "PascalScribbleDataset"
data_root = "{{$PASCAL_SCRIBBLE_ROOT:data/pascal_scribble}}"
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="LoadRegionOfInterest"),
    dict(type="LoadImageTags"),
    dict(type="RandomResize", scale=(2048, 512), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackScribbleInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(2048, 512), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=6,
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

max_iters = 40000
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6, begin=0, end=1500, by_epoch=False),
    dict(type="PolyLR", power=1.0, eta_min=0.0, begin=1500, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=4000)
default_hooks = dict(checkpoint=dict(interval=4000, save_best="mIoU"))
