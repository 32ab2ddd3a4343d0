"""The images, label maps, classes and colours that a config names, for the tools."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from .label_png import UNLABELLED, read_label_png, voc_palette
from .scribble_dataset import ScribbleDataset

LOADERS = {"train": "train_dataloader", "val": "val_dataloader", "test": "test_dataloader"}


class LabelMaps(NamedTuple):
    """A folder of label maps, and how to read them."""

    folder: Path
    suffix: str = ".png"
    ignore_index: int = UNLABELLED
    reduce_zero_label: bool = False
    label_map: dict[int, int] | None = None  # from the files' classes to the network's

    def path(self, name: str) -> Path:
        """The file of an image's id."""
        return self.folder / f"{name}{self.suffix}"

    def read(self, name: str, size: tuple[int, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Labels as the network gets them, uint8 (H, W), and their colours, as read_label_png.

        Args:
            name: The id of an image.
            size: Its height and width, which the labels must have.

        Raises:
            OSError, ValueError: As read_label_png, or the labels have another size.
        """
        labels, colours = read_label_png(self.path(name), self.ignore_index, self.reduce_zero_label)
        if size is not None and labels.shape != size:
            path = self.path(name)
            raise ValueError(f"{path}: {labels.shape}, but its image has {size} (height, width)")
        if not self.label_map:
            return labels, colours
        mapping, mapped = np.arange(256, dtype=np.uint8), colours.copy()
        for old, new in self.label_map.items():
            mapping[old] = new
            mapped[new] = colours[old] if new != UNLABELLED else mapped[new]
        return mapping[labels], mapped


class ConfigData(NamedTuple):
    """A data set of a config."""

    images: dict[str, Path]  # by their ids, which are those of the label maps
    folder: Path  # of the images
    maps: LabelMaps
    classes: tuple[str, ...]
    palette: np.ndarray  # uint8 (K, 3), RGB
    problems: list[str]  # what is wrong with the ids that are not among the images


def data_of(config: Config, split: str) -> ConfigData:
    """Find the files of a split without reading them.

    Args:
        config: A config of MMSeg.
        split: 'train', 'val' or 'test'.

    Raises:
        ValueError: The config has no such data set, or it is not one of images and label maps.
        DatasetNotFoundError: Its folders are not there.
    """
    given = inner_dataset(config, split)
    dataset = build_unread(given)
    folder = Path(dataset.data_prefix.get("img_path") or "")
    if isinstance(dataset, ScribbleDataset):
        found, problems = dataset.find_files(dataset.ids())
        images = {name: image for name, image, _ in found}
        ignore_index = dataset.ignore_index
    else:
        items = (Path(item["img_path"]) for item in dataset.load_data_list())
        end = len(dataset.img_suffix)
        images = {path.relative_to(folder).as_posix()[:-end]: path for path in items}
        problems = []
        ignore_index = _ignored(config, given, split)
    maps = LabelMaps(
        Path(dataset.data_prefix.get("seg_map_path") or ""),
        dataset.seg_map_suffix,
        ignore_index,
        dataset.reduce_zero_label,
        dataset.label_map,
    )
    classes, palette = classes_and_palette(dataset)
    return ConfigData(images, folder, maps, classes, palette, problems)


def label_folder(config: Config, split: str) -> Path:
    """The folder of a split's label maps, whether or not it exists.

    Raises:
        ValueError: The config has no such data set, or it names no folder.
    """
    given = inner_dataset(config, split)
    kind, prefix = type_of(given), given.get("data_prefix") or {}
    if issubclass(kind, ScribbleDataset):
        prefix = kind.folders(given.get("labels", "scribble"), prefix)
    if "seg_map_path" not in prefix:
        raise ValueError(f"{LOADERS[split]} of {config.filename} names no folder of label maps")
    return Path(given.get("data_root") or "", prefix["seg_map_path"])


def type_of(dataset: ConfigDict) -> type:
    """The class of a data set, however its config names it.

    Raises:
        ValueError: There is none of that name.
    """
    init_default_scope("mmseg")
    kind = dataset["type"] if isinstance(dataset["type"], type) else DATASETS.get(dataset["type"])
    if kind is None:
        raise ValueError(f"{dataset['type']} is not a registered data set")
    return kind


def inner_dataset(config: Config, split: str) -> ConfigDict:
    """The config of a split's data set, within wrappers that repeat or join such sets.

    Raises:
        ValueError: There is none.
    """
    dataset = (config.get(LOADERS[split]) or {}).get("dataset") or {}
    while "dataset" in dataset or "datasets" in dataset:
        dataset = dataset.get("dataset") or dataset["datasets"][0]
    if "type" not in dataset:
        raise ValueError(f"{config.filename} has no data set in {LOADERS[split]}")
    return dataset


def build_unread(dataset: ConfigDict) -> BaseSegDataset:
    """Build a data set without looking at its files.

    Raises:
        ValueError: It is not one of images and label maps.
    """
    init_default_scope("mmseg")
    built = DATASETS.build(dict(copy.deepcopy(dataset), pipeline=[], lazy_init=True))
    if not isinstance(built, BaseSegDataset):
        raise ValueError(f"{type(built).__name__} is not a data set of images and label maps")
    return built


def classes_and_palette(dataset: BaseSegDataset) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of a data set's classes and their colours, uint8 (K, 3), RGB."""
    classes = tuple(dataset.metainfo.get("classes") or ())
    return classes, np.array(dataset.metainfo["palette"], dtype=np.uint8).reshape(-1, 3)


def metainfo_of(config: Config) -> tuple[tuple[str, ...], np.ndarray] | None:
    """The classes of a config and their colours, uint8 (K, 3), whether its data are there or not.

    Returns:
        None where no data set of the config names classes.
    """
    for split in LOADERS:
        try:
            given = inner_dataset(config, split)
            known = getattr(type_of(given), "METAINFO", {})
        except ValueError:
            continue
        metainfo = {**known, **(given.get("metainfo") or {})}
        classes = metainfo.get("classes") or ()
        if isinstance(classes, str):
            if not Path(classes).is_file():
                continue
            lines = Path(classes).read_text(encoding="utf-8").splitlines()
            classes = [line.strip() for line in lines if line.strip()]
        palette = metainfo.get("palette") or ()
        if len(palette) != len(classes) and set(classes) <= set(known.get("classes") or ()):
            palette = [palette[known["classes"].index(name)] for name in classes]
        if classes:
            colours = palette or voc_palette()[: len(classes)]
            return tuple(classes), np.array(colours, dtype=np.uint8).reshape(-1, 3)
    return None


def ignored_by_metric(config: Config, split: str) -> int:
    """The label that the evaluation of a split leaves out."""
    evaluator: Any = config.get(f"{split}_evaluator") or {}
    metrics = evaluator if isinstance(evaluator, list) else [evaluator]
    return next((m["ignore_index"] for m in metrics if "ignore_index" in m), UNLABELLED)


def _ignored(config: Config, dataset: ConfigDict, split: str) -> int:
    """What stands for unlabelled in the label maps of a data set that does not name it."""
    for step in dataset.get("pipeline", []):
        if getattr(step["type"], "__name__", step["type"]) == "LoadRegionOfInterest":
            return step.get("ignore_index", UNLABELLED)
    return ignored_by_metric(config, split)
