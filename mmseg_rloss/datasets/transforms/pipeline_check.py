"""Checks before training whether a pipeline keeps track of the region of interest."""

from __future__ import annotations

from typing import Any

from mmcv.transforms import BaseTransform, RandomChoiceResize, RandomResize
from mmcv.transforms import CenterCrop as MMCVCenterCrop
from mmcv.transforms import Pad as MMCVPad
from mmcv.transforms import RandomFlip as MMCVRandomFlip
from mmcv.transforms import Resize as MMCVResize
from mmseg.datasets.transforms import (
    Albu,
    PhotoMetricDistortion,
    RandomCrop,
    RandomCutOut,
    RandomDepthMix,
    RandomMosaic,
    RandomRotate,
    RandomRotFlip,
    ResizeShortestEdge,
    ResizeToMultiple,
)

from ..own_data import check_training_files, has_scribbles
from .albu import changes_colours_alone
from .formatting import PackScribbleInputs
from .label_check import check_label_transforms, pipelines
from .loading import KeepImage, LoadRegionOfInterest

_ADD_PIXELS = (MMCVPad, RandomRotate, RandomRotFlip, RandomMosaic, RandomCutOut, RandomDepthMix)
_MOVE_PIXELS = (
    *_ADD_PIXELS,
    MMCVCenterCrop,
    MMCVRandomFlip,
    MMCVResize,
    RandomChoiceResize,
    RandomCrop,
    RandomResize,
    ResizeShortestEdge,
    ResizeToMultiple,
)
# These know gt_seg_map alone; MMSeg and this package have their own, which are subclasses.
_MMCVS_OWN = (MMCVCenterCrop, MMCVPad, MMCVRandomFlip, MMCVResize)


def untracked_padding(dataset: Any) -> list[str]:
    """Check a training set, and name the transforms whose padding would count as image.

    Args:
        dataset: A training set with MMSeg's pipeline, or a wrapper of such sets.

    Returns:
        Class names, in order; empty if a region of interest is loaded and packed, or not needed.

    Raises:
        ValueError: The region is loaded, or the image kept, but in the wrong place, or a transform
            would falsify it or the labels.
        DatasetFilesError: It is a ValueError. A set names no image, or files of one that loads the
            region cannot be used.
    """
    check_label_transforms(dataset)
    check_training_files(dataset)
    names = []
    for pipeline in pipelines(dataset):
        _check_kept(pipeline)
        types = [type(transform) for transform in pipeline]
        if LoadRegionOfInterest in types and PackScribbleInputs in types:
            _check_tracked(pipeline, types.index(LoadRegionOfInterest))
        else:
            names += [type(t).__name__ for t in pipeline if _adds_pixels(t)]
    return list(dict.fromkeys(names))


def traps_of_pipelines(dataset: Any) -> list[str]:
    """What in a stock pipeline hurts the regularized losses, with the remedies.

    Args:
        dataset: A training set with MMSeg's pipeline, or a wrapper of such sets.
    """
    traps = []
    steps = [step for pipeline in pipelines(dataset) for step in pipeline]
    if any(map(_distorts_what_losses_see, pipelines(dataset))):
        traps.append(
            "PhotoMetricDistortion changes the colours by which the losses see what belongs "
            "together: put dict(type='KeepImage') before it, or leave it out of the training "
            "pipeline"
        )
    crops = [step for step in steps if isinstance(step, RandomCrop)]
    if any(crop.cat_max_ratio < 1 for crop in crops) and has_scribbles(dataset):
        traps.append(
            "RandomCrop's cat_max_ratio counts labelled pixels alone, and turns away crops with no "
            "scribble or those of one class: leave it out"
        )
    return traps


def trap_of_size(dataset: Any, size: tuple[int, int] | None) -> str | None:
    """The message for a preprocessor that pads all crops beyond their size, or None.

    Args:
        dataset: A training set with MMSeg's pipeline, or a wrapper of such sets.
        size: Height and width to which it pads.
    """
    steps = [step for pipeline in pipelines(dataset) for step in pipeline]
    crops = [step.crop_size for step in steps if isinstance(step, RandomCrop)]
    if not crops or not size:
        return None
    largest = tuple(max(lengths) for lengths in zip(*crops, strict=True))
    if size[0] <= largest[0] and size[1] <= largest[1]:
        return None
    return (
        f"The network gets crops of {largest} padded to {tuple(size)}, and takes as long as for "
        f"those: set model.data_preprocessor.size={largest}"
    )


def _distorts_what_losses_see(pipeline: list[BaseTransform]) -> bool:
    """Whether a pipeline distorts the colours of an image that it has not kept before."""
    for transform in pipeline:
        if isinstance(transform, KeepImage):
            return False
        if isinstance(transform, PhotoMetricDistortion):
            return True
    return False


def _check_kept(pipeline: list[BaseTransform]) -> None:
    """Refuse an image kept before its pixels are moved, or never packed."""
    kept = [isinstance(transform, KeepImage) for transform in pipeline]
    if not any(kept):
        return
    after = pipeline[kept.index(True) :]
    if moving := [type(t).__name__ for t in after if _moves_pixels(t)]:
        raise ValueError(
            f"KeepImage comes before {', '.join(moving)}, so that the losses would see another "
            "image than the network: put it after all that moves pixels, before what changes "
            "colours"
        )
    if not any(isinstance(transform, PackScribbleInputs) for transform in after):
        raise ValueError(
            "The image of KeepImage is packed by PackScribbleInputs alone: let it take the place "
            "of PackSegInputs"
        )


def _moves_pixels(transform: BaseTransform) -> bool:
    if isinstance(transform, Albu):
        return not changes_colours_alone(transform)
    return isinstance(transform, _MOVE_PIXELS)


def _adds_pixels(transform: BaseTransform) -> bool:
    """Whether a transform may leave pixels outside the image."""
    if isinstance(transform, Albu):
        return not changes_colours_alone(transform)
    if isinstance(transform, MMCVCenterCrop):
        return transform.auto_pad
    return isinstance(transform, _ADD_PIXELS)


def _check_tracked(pipeline: list[BaseTransform], loading: int) -> None:
    early = [type(t).__name__ for t in pipeline[:loading] if _adds_pixels(t)]
    if early:
        raise ValueError(
            f"LoadRegionOfInterest comes after {', '.join(early)}, so that padding would count as "
            "image: put it right after LoadAnnotations"
        )
    for transform in pipeline[loading:]:
        if isinstance(transform, Albu) and not changes_colours_alone(transform):
            raise ValueError(
                "Albu does not move the region of interest, whatever its keymap says: let it "
                "change colours alone, and use MMSeg's own geometric transforms"
            )
        # RandomResize and RandomChoiceResize have one within.
        if type(getattr(transform, "resize", transform)) in _MMCVS_OWN:
            raise ValueError(
                f"{type(transform).__name__} of MMCV does not move the region of interest: set "
                "default_scope = 'mmseg', and leave 'mmcv.' out of its type"
            )
        if isinstance(transform, RandomDepthMix):
            raise ValueError(
                "RandomDepthMix paints the depth into the image, but leaves no trace of it in the "
                "maps: leave it out"
            )
        if isinstance(transform, RandomCutOut) and transform.seg_fill_in is None:
            raise ValueError(
                "RandomCutOut paints holes into the image, but leaves no trace of them in the "
                "maps: set its seg_fill_in=255"
            )
