"""DeepLabV3+ MobileNetV2 from PASCAL VOC's scribbles by self-labelling: the one to start with.

Beside the cross entropy on the scribbles stands one on all other pixels, with soft labels that
scribbles, image and network agree on. It weighs as much, whatever the crop and the data.
"""

_base_ = "./deeplabv3plus_mobilenet_scribble.py"

self_label = dict(
    type="SelfLabelLoss",
    loss_weight={{_base_.cross_entropy.loss_weight}},
    sigma_rgb=10,
    sigma_xy=100,
    scale_factor=0.5,
)
model = dict(decode_head=dict(loss_decode=[self_label, {{_base_.cross_entropy}}]))
