"""The recipe of deeplabv3plus_mobilenet_scribble.py with full masks and cross entropy."""

_base_ = "./deeplabv3plus_mobilenet_scribble_ce.py"
train_dataloader = dict(dataset=dict(labels="mask"))
