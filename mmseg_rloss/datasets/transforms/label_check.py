"""Checks before training whether a pipeline would give pixels labels that nobody drew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmcv.transforms import BaseTransform
from mmcv.transforms import CenterCrop as MMCVCenterCrop
from mmcv.transforms import Pad as MMCVPad
from mmseg.datasets.transforms import (
    Albu,
    BioMedical3DPad,
    RandomCutOut,
    RandomMosaic,
    RandomRotate,
    RandomRotFlip,
    SegRescale,
)

from .albu import blending, filled_label

_FILLINGS = {
    BioMedical3DPad: "seg_pad_val",
    RandomCutOut: "seg_fill_in",
    RandomMosaic: "seg_pad_val",
    RandomRotate: "seg_pad_val",
}


def check_label_transforms(dataset: Any) -> None:
    """Refuse the transforms of a pipeline that invent labels.

    Args:
        dataset: A training set with MMSeg's pipeline, or a wrapper of such sets.

    Raises:
        ValueError: It names the transform and the remedy.
    """
    classes = getattr(dataset, "metainfo", {}).get("classes") or ()
    for pipeline in pipelines(dataset):
        for transform in pipeline:
            if isinstance(transform, RandomRotFlip) and transform.rotate_prob > 0:
                raise ValueError(
                    "RandomRotFlip blends labels of neighbouring regions into others and fills "
                    "the corners with label 0: use RandomRotate, which does neither, and set "
                    "rotate_prob=0 if RandomRotFlip is to turn by 90 degrees and mirror"
                )
            if isinstance(transform, SegRescale) and transform.scale_factor != 1:
                raise ValueError(
                    "SegRescale scales the label map without its image: leave it out, and use "
                    "Resize for both"
                )
            if isinstance(transform, Albu) and (name := blending(transform)):
                raise ValueError(
                    f"Albu's {name} blends labels of neighbouring regions into others: leave it "
                    "out, or set its mask_interpolation=0, where it has one"
                )
            label = _filling(transform)
            if label is not None and 0 <= label < len(classes):
                raise ValueError(
                    f"{type(transform).__name__} would label pixels outside the image as "
                    f"{label:g}, {classes[int(label)]}: let it fill label maps with 255, unlabelled"
                )


def _filling(transform: BaseTransform) -> float | None:
    """The label that a transform gives to pixels outside the image."""
    if isinstance(transform, Albu):
        return filled_label(transform)
    if isinstance(transform, MMCVCenterCrop):
        pad_val = transform.pad_cfg.get("pad_val") if transform.auto_pad else None
        return pad_val.get("seg") if isinstance(pad_val, dict) else None
    if isinstance(transform, MMCVPad):
        repeats_image = transform.padding_mode != "constant"
        return None if repeats_image else transform.pad_val.get("seg")
    for kind, argument in _FILLINGS.items():
        if isinstance(transform, kind):
            return getattr(transform, argument)
    return None


def pipelines(dataset: Any) -> Iterator[list[BaseTransform]]:
    """Yield the transforms in order, once for each path of a sample to the network."""
    own = list(_flatten(getattr(dataset, "pipeline", [])))
    if hasattr(dataset, "datasets"):
        for part in dataset.datasets:
            yield from pipelines(part)
    elif hasattr(dataset, "dataset"):
        for inner in pipelines(dataset.dataset):
            yield inner + own
    else:
        yield own


def _flatten(transforms: Any) -> Iterator[BaseTransform]:
    """Yield the transforms within wrappers such as Compose, RandomApply and RandomChoice."""
    if isinstance(transforms, list):
        for transform in transforms:
            yield from _flatten(transform)
    elif hasattr(transforms, "transforms") and not isinstance(transforms, Albu):
        yield from _flatten(transforms.transforms)
    else:
        yield transforms
