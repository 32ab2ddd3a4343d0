"""The recipe of deeplabv3plus_mobilenet_scribble.py with RRM's gated energy."""

_base_ = "./deeplabv3plus_mobilenet_scribble.py"
regularized_loss = dict(
    type="DenseEnergyLoss",
    loss_weight=1.5e-9,
    sigma_rgb=15,
    sigma_xy=100,
    scale_factor=0.5,
    loss_name="loss_gated",
)
model = dict(decode_head=dict(loss_decode=[regularized_loss, {{_base_.cross_entropy}}]))
