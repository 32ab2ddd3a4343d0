"""The recipe of deeplabv3plus_mobilenet_scribble.py with RRM's dense energy."""

_base_ = "./deeplabv3plus_mobilenet_scribble.py"
model = dict(
    decode_head=dict(
        loss_decode=[{{_base_.regularized_losses.dense_energy}}, {{_base_.cross_entropy}}]
    )
)
