"""The recipe of deeplabv3plus_mobilenet_scribble.py with the kernel cut."""

_base_ = "./deeplabv3plus_mobilenet_scribble.py"
model = dict(
    decode_head=dict(
        loss_decode=[{{_base_.regularized_losses.kernel_cut}}, {{_base_.cross_entropy}}]
    )
)
