"""MMSegmentation's SegFormer MiT-B0, with weights pretrained on ImageNet."""

_base_ = [__import__("mmseg").__path__[0] + "/.mim/configs/_base_/models/segformer_mit-b0.py"]
model = dict(
    pretrained="https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b0_20220624-7e0fe6dd.pth",
)
