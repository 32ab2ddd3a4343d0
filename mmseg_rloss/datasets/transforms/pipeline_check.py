"""Tells, before training, whether a pipeline keeps track of the region of interest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmcv.transforms import BaseTransform
from mmcv.transforms import Pad as MMCVPad
from mmseg.datasets.transforms import (
    Albu,
    RandomCutOut,
    RandomMosaic,
    RandomRotate,
    RandomRotFlip,
)

from .formatting import PackScribbleInputs
from .loading import LoadRegionOfInterest

_ADD_PIXELS = (MMCVPad, RandomRotate, RandomRotFlip, RandomMosaic, RandomCutOut, Albu)


def untracked_padding(dataset: Any) -> list[str]:
    """Name the transforms whose padding would pass for photo.

    Args:
        dataset: A training set with MMSeg's pipeline, or a wrapper of such sets.

    Returns:
        Class names, in order; empty if a region of interest is loaded and packed, or not needed.

    Raises:
        ValueError: The region is loaded, but in the wrong place, or a transform would falsify it.
    """
    names = []
    for pipeline in _pipelines(dataset):
        types = [type(transform) for transform in pipeline]
        if LoadRegionOfInterest in types and PackScribbleInputs in types:
            _check_tracked(pipeline, types.index(LoadRegionOfInterest))
        else:
            names += [type(t).__name__ for t in pipeline if isinstance(t, _ADD_PIXELS)]
    return list(dict.fromkeys(names))


def _check_tracked(pipeline: list[BaseTransform], loading: int) -> None:
    early = [type(t).__name__ for t in pipeline[:loading] if isinstance(t, _ADD_PIXELS)]
    if early:
        raise ValueError(
            f"LoadRegionOfInterest comes after {', '.join(early)}, so that padding would pass for "
            "photo: put it right after LoadAnnotations"
        )
    for transform in pipeline[loading:]:
        if isinstance(transform, Albu) and "gt_roi_map" not in transform.keymap_to_albu:
            raise ValueError(
                "Albu after LoadRegionOfInterest does not move the region of interest: use MMSeg's "
                "own geometric transforms, and put an Albu that changes colours alone before "
                "LoadRegionOfInterest"
            )
        if isinstance(transform, RandomCutOut) and transform.seg_fill_in is None:
            raise ValueError(
                "RandomCutOut paints holes that show no photo, but leaves no trace of them in the "
                "maps: set its seg_fill_in=255"
            )


def _pipelines(dataset: Any) -> Iterator[list[BaseTransform]]:
    """Yield the transforms in order, once for each way a sample can take to the network."""
    own = list(_flatten(getattr(dataset, "pipeline", [])))
    if hasattr(dataset, "datasets"):
        for part in dataset.datasets:
            yield from _pipelines(part)
    elif hasattr(dataset, "dataset"):
        for inner in _pipelines(dataset.dataset):
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
