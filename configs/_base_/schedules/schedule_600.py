"""600 iterations of AdamW, the learning rate of the heads ten times that of the backbone."""

_base_ = [__import__("mmseg").__path__[0] + "/.mim/configs/_base_/schedules/schedule_20k.py"]
max_iters = 600
optimizer = dict(_delete_=True, type="AdamW", lr=3e-4, weight_decay=0.01)
optim_wrapper = dict(
    optimizer=optimizer, paramwise_cfg=dict(custom_keys={"head": dict(lr_mult=10.0)})
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, begin=0, end=50, by_epoch=False),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=50, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(logger=dict(interval=25), checkpoint=dict(interval=200))
