"""The recipe of deeplabv3plus_mobilenet_scribble.py for ResNet-101."""

_base_ = "./deeplabv3plus_r50_scribble.py"
model = dict(pretrained="open-mmlab://resnet101_v1c", backbone=dict(depth=101))
