"""50 epochs of SGD, the learning rate of the heads ten times that of the backbone."""

_base_ = [__import__("mmseg").__path__[0] + "/.mim/configs/_base_/schedules/schedule_20k.py"]
optimizer = dict(type="SGD", lr=0.007, momentum=0.9, weight_decay=5e-4)
optim_wrapper = dict(
    optimizer=optimizer, paramwise_cfg=dict(custom_keys={"head": dict(lr_mult=10.0)})
)
max_epochs = 50
param_scheduler = [
    dict(
        type="PolyLR",
        power=0.9,
        eta_min=0.0,
        begin=0,
        end=max_epochs,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
train_cfg = dict(_delete_=True, type="EpochBasedTrainLoop", max_epochs=max_epochs, val_interval=2)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=True),
    checkpoint=dict(by_epoch=True, interval=2, save_best="mIoU"),
)
