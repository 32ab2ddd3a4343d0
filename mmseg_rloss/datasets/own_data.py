"""Checks the files of custom data sets, as ScribbleDataset checks its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmcv.transforms import LoadImageFromFile
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations

from .file_check import DatasetFilesError, check_files
from .label_png import UNLABELLED
from .scribble_dataset import ScribbleDataset
from .transforms.label_check import pipelines
from .transforms.loading import LoadRegionOfInterest


def check_training_files(dataset: Any) -> None:
    """Check the files of a training set that loads the region of interest.

    Args:
        dataset: A data set of MMSeg, or a wrapper of such sets.

    Raises:
        DatasetFilesError: It is a ValueError. A set names no image, or files cannot be used.
    """
    for part in _sets(dataset):
        _check_not_empty(part)
        if region := _region_of(part):
            _check_files(part, True, region.ignore_index, "LoadRegionOfInterest")


def has_scribbles(dataset: Any) -> bool:
    """Whether a training set, or a set within it, has scribbles, which is the default."""
    return any(getattr(part, "labels", "scribble") == "scribble" for part in _sets(dataset))


def check_evaluation_files(loop: Any) -> None:
    """Check the files of a set to evaluate on, unless it is one of MMSeg's public ones.

    MMSeg's metrics count predictions where labels have no class, and where sizes differ, they fail
    without naming the file.

    Args:
        loop: MMEngine's, to validate or to test.

    Raises:
        DatasetFilesError: As in :func:`check_training_files`.
    """
    metrics = loop.evaluator.metrics
    ignored = [metric.ignore_index for metric in metrics if hasattr(metric, "ignore_index")]
    check_masks(loop.dataloader.dataset, ignored[0] if ignored else UNLABELLED)


def check_masks(dataset: Any, ignore_index: int) -> None:
    """Check the files of a set to evaluate on, by a metric that ignores a label.

    Raises:
        DatasetFilesError: As in :func:`check_training_files`.
    """
    for part in _sets(dataset):
        _check_not_empty(part)
        if type(part) is BaseSegDataset or not type(part).__module__.startswith("mmseg."):
            _check_files(part, False, ignore_index, "the metric")


def _sets(dataset: Any) -> Iterator[BaseSegDataset]:
    """The data sets of MMSeg within wrappers."""
    for part in getattr(dataset, "datasets", []):
        yield from _sets(part)
    if hasattr(dataset, "dataset"):
        yield from _sets(dataset.dataset)
    if isinstance(dataset, BaseSegDataset):
        yield dataset


def _check_not_empty(dataset: BaseSegDataset) -> None:
    if len(dataset) == 0:
        source = dataset.ann_file or dataset.data_prefix.get("img_path")
        raise DatasetFilesError(
            f"{source} names no image: the data set is empty. Write the ids into it, one a line, "
            "or name another ann_file"
        )


def _region_of(dataset: BaseSegDataset) -> LoadRegionOfInterest | None:
    steps = next(pipelines(dataset))
    return next((step for step in steps if isinstance(step, LoadRegionOfInterest)), None)


def _check_files(dataset: BaseSegDataset, scribbles: bool, ignore_index: int, owner: str) -> None:
    classes = dataset.METAINFO.get("classes") or dataset.metainfo.get("classes")
    looked_at = isinstance(dataset, ScribbleDataset)
    if looked_at or dataset.backend_args or not 0 < len(classes or ()) <= UNLABELLED:
        return
    steps = next(pipelines(dataset))
    loaders = [step for step in steps if isinstance(step, LoadImageFromFile)]
    if not loaders or not any(isinstance(step, LoadAnnotations) for step in steps):
        return
    items = [dataset.get_data_info(i) for i in range(len(dataset))]
    check_files(
        [
            (Path(item["img_path"]), Path(item["seg_map_path"]))
            for item in items
            if "seg_map_path" in item
        ],
        len(classes),
        scribbles=scribbles,
        ignore_index=ignore_index,
        reduce_zero_label=dataset.reduce_zero_label,
        loader=loaders[0],
        owner=owner,
    )
