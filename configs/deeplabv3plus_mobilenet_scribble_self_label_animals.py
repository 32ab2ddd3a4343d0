"""Self-labelling in the setting of deeplabv3plus_mobilenet_scribble_animals.py, without warm-up."""

_base_ = "./deeplabv3plus_mobilenet_scribble_animals.py"

self_label = dict(type="SelfLabelLoss", sigma_rgb=10, sigma_xy=40, scale_factor=0.5)
model = dict(decode_head=dict(loss_decode=[{{_base_.cross_entropy}}, self_label]))
custom_hooks = [dict(type="ProvideImagesHook"), dict(type="ChannelsLastHook")]
