"""The recipe of deeplabv3plus_mobilenet_scribble_self_label.py for ResNet-101."""

_base_ = "./deeplabv3plus_r101_scribble.py"

self_label = dict(
    type="SelfLabelLoss",
    loss_weight={{_base_.cross_entropy.loss_weight}},
    sigma_rgb=10,
    sigma_xy=100,
    scale_factor=0.5,
)
model = dict(decode_head=dict(loss_decode=[self_label, {{_base_.cross_entropy}}]))
