"""The recipe of deeplabv3plus_mobilenet_scribble_self_label.py for ResNet-101."""

_base_ = "./deeplabv3plus_mobilenet_scribble_self_label.py"
model = dict(
    pretrained="open-mmlab://resnet101_v1c",
    backbone=dict(
        _delete_=True,
        type="ResNetV1c",
        depth=101,
        strides=(1, 2, 2, 1),  # output stride 16
        dilations=(1, 1, 1, 2),
        multi_grid=(1, 2, 4),
        contract_dilation=True,
        norm_cfg=dict(type="SyncBN", requires_grad=True),
    ),
    decode_head=dict(in_channels=2048, c1_in_channels=256),
    auxiliary_head=dict(in_channels=1024),
)
