"""DeepLabV3+ MobileNetV2 from PASCAL VOC's scribbles, by the recipe of rloss (ECCV 2018).

docs/recipe.md sets every flag of rloss's command line against its line here.
"""

_base_ = [
    "./_base_/models/deeplabv3plus_mobilenet_v2.py",
    "./_base_/datasets/pascal_scribble.py",
    "./_base_/losses/rloss.py",
    "./_base_/schedules/schedule_50e.py",
    __import__("mmseg").__path__[0] + "/.mim/configs/_base_/default_runtime.py",
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes=21,
        # In this order: MMSegmentation's cross entropy waits for the GPU, which would then idle
        # until the next loss is launched.
        loss_decode=[{{_base_.regularized_losses.densecrf}}, {{_base_.cross_entropy}}],
    ),
    auxiliary_head=dict(num_classes=21, loss_decode={{_base_.auxiliary_cross_entropy}}),
)
train_dataloader = dict(batch_size={{_base_.batch_size}})
log_processor = dict(by_epoch=True)
