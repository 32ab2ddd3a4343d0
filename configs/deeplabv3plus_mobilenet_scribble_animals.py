"""The method on PASCAL VOC's images of animals and persons, in a few minutes on two cores.

Seven classes, pretrained weights, a narrower head, small crops and a short schedule: the setting of
the tables in docs/results.md.
"""

_base_ = [
    "./_base_/models/deeplabv3plus_mobilenet_v2.py",
    "./_base_/datasets/animals_scribble.py",
    "./_base_/losses/animals.py",
    "./_base_/schedules/schedule_600.py",
    __import__("mmseg").__path__[0] + "/.mim/configs/_base_/default_runtime.py",
]
warmup_iters = 200  # by cross entropy alone; self-labelling goes without it
custom_hooks = [
    dict(type="ProvideImagesHook"),
    dict(type="ChannelsLastHook"),
    dict(type="RegularizedLossWarmupHook", iters=warmup_iters),
]
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    backbone=dict(norm_cfg=norm_cfg),
    decode_head=dict(
        channels=128,
        c1_channels=32,
        num_classes=7,
        norm_cfg=norm_cfg,
        loss_decode=[{{_base_.regularized_losses.normalized}}, {{_base_.cross_entropy}}],
    ),
    auxiliary_head=None,
)
default_hooks = dict(checkpoint=dict(interval=warmup_iters))
