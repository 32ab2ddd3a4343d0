"""The recipe of deeplabv3plus_mobilenet_scribble.py with cross entropy on the scribbles alone."""

_base_ = "./deeplabv3plus_mobilenet_scribble.py"
custom_hooks = []
model = dict(decode_head=dict(loss_decode=[{{_base_.cross_entropy}}]))
