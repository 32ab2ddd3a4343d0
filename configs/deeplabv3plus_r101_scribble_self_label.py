"""The recipe of deeplabv3plus_mobilenet_scribble_self_label.py for ResNet-101."""

_base_ = "./deeplabv3plus_r101_scribble.py"
model = dict(
    decode_head=dict(
        loss_decode=[{{_base_.regularized_losses.self_label}}, {{_base_.cross_entropy}}]
    )
)
