"""SegFormer MiT-B0 from PASCAL VOC's scribbles by self-labelling.

MMSegmentation's network and optimizer, with a schedule for fewer images than ADE20K's.
"""

_base_ = [
    "./_base_/models/segformer_mit-b0.py",
    "./_base_/datasets/pascal_scribble_512x512.py",
    "./_base_/losses/regularized_losses.py",
    "./_base_/schedules/schedule_40k_segformer.py",
    __import__("mmseg").__path__[0] + "/.mim/configs/_base_/default_runtime.py",
]
model = dict(
    data_preprocessor=dict(size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes=21,
        loss_decode=[{{_base_.regularized_losses.self_label}}, {{_base_.cross_entropy}}],
    ),
)
