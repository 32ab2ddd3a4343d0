"""Self-labelling in the setting of deeplabv3plus_mobilenet_scribble_sample.py."""

_base_ = "./deeplabv3plus_mobilenet_scribble_sample.py"

self_label = dict(type="SelfLabelLoss", sigma_rgb=10, sigma_xy=20, scale_factor=0.5)
model = dict(decode_head=dict(loss_decode=[{{_base_.cross_entropy}}, self_label]))
