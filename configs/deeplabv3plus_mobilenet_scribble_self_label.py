"""DeepLabV3+ MobileNetV2 from PASCAL VOC's scribbles by self-labelling: the one to start with.

Beside the cross entropy on the scribbles stands one on all other pixels, with soft labels that
scribbles, image and network agree on. It weighs half as much again, whatever the crop.
"""

_base_ = "./deeplabv3plus_mobilenet_scribble.py"
model = dict(
    decode_head=dict(
        loss_decode=[{{_base_.regularized_losses.self_label}}, {{_base_.cross_entropy}}]
    )
)
