"""The recipe of deeplabv3plus_mobilenet_scribble.py with the kernel cut."""

_base_ = "./deeplabv3plus_mobilenet_scribble.py"
regularized_loss = dict(
    type="KernelCutLoss",
    loss_weight=0.1 / 12,
    densecrf_weight=15.0,
    sigma_rgb=15,
    sigma_xy=100,
    scale_factor=0.5,
    loss_name="loss_kernel_cut",
)
model = dict(decode_head=dict(loss_decode=[regularized_loss, {{_base_.cross_entropy}}]))
