"""Self-labelling in the setting of deeplabv3plus_mobilenet_scribble_animals.py, without warm-up."""

_base_ = "./deeplabv3plus_mobilenet_scribble_animals.py"

model = dict(
    decode_head=dict(
        loss_decode=[{{_base_.regularized_losses.self_label}}, {{_base_.cross_entropy}}]
    )
)
custom_hooks = [dict(type="ProvideImagesHook"), dict(type="ChannelsLastHook")]
