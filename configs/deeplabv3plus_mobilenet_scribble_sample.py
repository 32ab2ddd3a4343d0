"""The method on the drawn data of tools/make_sample_dataset.py, in two minutes on two cores.

A narrower network without pretrained weights, small images and a short schedule.
"""

_base_ = [
    "./_base_/models/deeplabv3plus_mobilenet_v2.py",
    "./_base_/datasets/sample_scribble.py",
    "./_base_/losses/sample.py",
    "./_base_/schedules/schedule_600.py",
    __import__("mmseg").__path__[0] + "/.mim/configs/_base_/default_runtime.py",
]
model = dict(
    pretrained=None,
    data_preprocessor=dict(size={{_base_.crop_size}}),
    backbone=dict(widen_factor=0.5),
    decode_head=dict(
        in_channels=160,
        channels=64,
        c1_in_channels=16,
        c1_channels=16,
        dilations=(1, 3, 6, 9),
        num_classes=7,
        loss_decode=[{{_base_.regularized_losses.densecrf}}, {{_base_.cross_entropy}}],
    ),
    auxiliary_head=None,
)
optim_wrapper = dict(optimizer=dict(lr=3e-3), paramwise_cfg=None)  # from scratch
randomness = dict(seed=0)  # `make train` gives the same result every time
