"""The recipe of segformer_mit-b0_scribble_self_label.py for SegFormer MiT-B1."""

_base_ = "./segformer_mit-b0_scribble_self_label.py"
model = dict(
    pretrained="https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b1_20220624-02e5a6a1.pth",
    backbone=dict(embed_dims=64, num_layers=[2, 2, 2, 2]),
    decode_head=dict(in_channels=[64, 128, 320, 512]),
)
