"""Scribbles for custom classes, in folders of any names."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..ops.checks import check_flag
from .file_check import DatasetFilesError, check_files, listed
from .id_list import read_id_list
from .image_folder import files_by_id, ids_by_suffix, only_image
from .label_png import UNLABELLED, check_label, voc_palette
from .transforms.label_check import check_label_transforms

FLAGS = {"lazy_init", "reduce_zero_label", "serialize_data", "test_mode"}  # of BaseSegDataset


class DatasetNotFoundError(FileNotFoundError):
    """The data set, or a whole part of it, is not in the folder that was named."""


@DATASETS.register_module()
class ScribbleDataset(BaseSegDataset):
    """Images with scribbles to train from, or with full masks to validate on, of any classes.

    By default the root folder holds::

        images/<id>.jpg, .png, .tif ...   in any mixture
        scribbles/<id>.png                255 = unlabelled
        masks/<id>.png                    full masks, for those that have one

    Ids may hold spaces, dots and subfolders. Label maps have one channel (palette or grey), and
    their pixels are indices into the classes. Every image and label map is checked before
    training starts: a second or two for a thousand of them. A warning names labels that look as
    if another value than 255 stood for unlabelled.

    Args:
        data_root: The root folder.
        metainfo: `classes`, the names in the order of the labels, or a text file with a name a
            line; `palette`, the colour of each, RGB 0-255, which are VOC's by default.
        ann_file: A list of ids, relative to the root. Without one, all label maps count.
        data_prefix: Other folders, `img_path` and `seg_map_path`, relative to the root.
        labels: 'scribble' or 'mask': which folder is read by default, and whether most pixels
            should be unlabelled.
        img_suffix: The suffix of the images, if others of the same id are to be ignored.
        ignore_index: What stands for unlabelled in the label maps; the network gets 255.
        **kwargs: As in BaseSegDataset, such as `pipeline`, `indices` and `reduce_zero_label` (0
            stands for unlabelled, and the classes count from 1).

    Raises:
        DatasetNotFoundError: The root, a folder or the id list is missing.
        TypeError: An argument is of another type.
        DatasetFilesError: Files are missing, unreadable, truncated, of unequal size, share an id or
            hold labels of no class. All of them are named.
        ValueError: No classes are named, the palette does not fit them, or a transform of the
            pipeline would invent labels.
    """

    IMAGE_FOLDER = "images"
    LABEL_FOLDERS = {"scribble": "scribbles", "mask": "masks"}  # noqa: RUF012  # as METAINFO

    def __init__(
        self,
        data_root: str = "",
        metainfo: dict | None = None,
        ann_file: str = "",
        data_prefix: dict | None = None,
        labels: str = "scribble",
        img_suffix: str | None = None,
        ignore_index: int = UNLABELLED,
        **kwargs: Any,
    ) -> None:
        if labels not in list(self.LABEL_FOLDERS):
            raise ValueError(f"labels must be 'scribble' or 'mask', got {labels!r}")
        check_label("ignore_index", ignore_index)
        for name in FLAGS & kwargs.keys():
            check_flag(name, kwargs[name])
        check_path("data_root", data_root)
        check_path("ann_file", ann_file)
        self.labels = labels
        prefix = self.folders(labels, data_prefix)
        super().__init__(
            data_root=str(data_root),
            metainfo=metainfo,
            ann_file=self._find_list(Path(data_root), str(ann_file), tuple(prefix.values())),
            data_prefix=prefix,
            img_suffix=img_suffix,
            ignore_index=ignore_index,
            **kwargs,
        )

    @classmethod
    def folders(cls, labels: str, data_prefix: dict | None) -> dict[str, str]:
        """The folders of images and label maps, relative to the root."""
        prefix = dict(img_path=cls.IMAGE_FOLDER, seg_map_path=cls.LABEL_FOLDERS[labels])
        for name, folder in (data_prefix or {}).items():
            if name not in prefix:
                raise ValueError(f"data_prefix has {' and '.join(prefix)}, not {name!r}")
            check_path(f"data_prefix[{name!r}]", folder)
            prefix[name] = str(folder)
        return prefix

    def _find_list(self, root: Path, ann_file: str, folders: Sequence[str]) -> str:
        """The list of ids, relative to the root, once all of the layout has been found."""
        if missing := missing_files(root, [ann_file] if ann_file else [], folders):
            raise DatasetNotFoundError(
                f"The data set is not there: {what_lacks(root, missing)}.\nOther folders are named "
                "by data_prefix=dict(img_path=..., seg_map_path=...), a list of ids by ann_file."
            )
        return ann_file

    @classmethod
    def _load_metainfo(cls, metainfo: dict | None = None) -> dict:
        loaded = super()._load_metainfo(metainfo)
        classes = loaded.get("classes") or ()
        if isinstance((metainfo or {}).get("classes"), str) and not isinstance(classes, str):
            classes = loaded["classes"] = [line.strip() for line in classes if line.strip()]
        if isinstance(classes, str) or not 0 < len(set(classes)) == len(classes) <= UNLABELLED:
            raise ValueError(
                f"metainfo must name the classes, 1 to 255 different ones, got {classes!r}: "
                "metainfo=dict(classes=('background', 'leaf')), or a file with a name a line"
            )
        return loaded

    def _update_palette(self) -> list:
        """BaseSegDataset's, but VOC's distinct colours where it would draw them at random."""
        classes = self._metainfo["classes"]
        if not self._metainfo.get("palette"):
            self._metainfo["palette"] = voc_palette()[: len(classes)].tolist()
        if self.label_map is None:  # Otherwise BaseSegDataset takes those of the chosen classes.
            check_palette(self._metainfo["palette"], len(classes))
        return super()._update_palette()

    def full_init(self) -> None:
        if not self._fully_initialized:
            check_label_transforms(self)
        super().full_init()

    def load_data_list(self) -> list[dict]:
        ids = self.ids()
        if not ids:
            source = self.ann_file or self.data_prefix["seg_map_path"]
            warnings.warn(f"{source} names no image: the data set is empty", stacklevel=2)
            self.serialize_data = False  # MMEngine cannot serialize nothing.
        if repeated := [name for name, count in Counter(ids).items() if count > 1]:
            warnings.warn(
                f"{self.ann_file} names {len(repeated)} images more than once, and they count as "
                f"often: {listed(repeated)}",
                stacklevel=2,
            )
        found, problems = self.find_files(ids)
        loaders = [step for step in self.pipeline.transforms if isinstance(step, LoadImageFromFile)]
        check_files(
            [(image, label) for _, image, label in found],
            len(self.METAINFO.get("classes") or self.metainfo["classes"]),
            scribbles=self.labels == "scribble",
            ignore_index=self.ignore_index,
            reduce_zero_label=self.reduce_zero_label,
            loader=loaders[0] if loaders else None,
            problems=problems,
        )
        return [
            dict(
                img_path=str(image),
                seg_map_path=str(label),
                label_map=self._label_map_of_files(),
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for _, image, label in found
        ]

    def ids(self) -> list[str]:
        """Those of the list, or else of all label maps.

        Raises:
            DatasetFilesError: The list cannot be read.
        """
        if not self.ann_file:
            return ids_by_suffix(Path(self.data_prefix["seg_map_path"]), self.seg_map_suffix)
        try:
            return read_id_list(self.ann_file)
        except ValueError as error:
            raise DatasetFilesError(str(error)) from None

    def find_files(self, ids: Iterable[str]) -> tuple[list[tuple[str, Path, Path]], list[str]]:
        """The id, the image and the label map of each, and what is wrong with the other ids."""
        folder, labels = (Path(self.data_prefix[key]) for key in ("img_path", "seg_map_path"))
        images = files_by_id(folder) if self.img_suffix is None else {}
        found, problems = [], []
        for name in ids:
            try:
                if self.img_suffix is None:
                    image = only_image(images, name, folder)
                else:
                    image = folder / f"{name}{self.img_suffix}"
                found.append((name, image, labels / f"{name}{self.seg_map_suffix}"))
            except ValueError as error:
                problems.append(str(error))
        return found, problems

    def _label_map_of_files(self) -> dict[int, int] | None:
        """BaseSegDataset's, which also makes the files' value for unlabelled 255."""
        if self.ignore_index == UNLABELLED:
            return self.label_map
        # LoadAnnotations reduces the labels before it maps them.
        unlabelled = (self.ignore_index - int(self.reduce_zero_label)) % 256
        return {**(self.label_map or {}), unlabelled: UNLABELLED}


def check_palette(palette: Sequence[Any], num_classes: int) -> None:
    """Raise for a palette that has no colour for each class."""
    levels = range(256)
    colours = [c for c in palette if np.shape(c) == (3,) and all(value in levels for value in c)]
    if not len(colours) == len(palette) == num_classes:
        raise ValueError(
            "metainfo's palette must have a colour [R, G, B] of 0 to 255 for each of the "
            f"{num_classes} classes, got {palette!r}"
        )
    if len({tuple(colour) for colour in colours}) < num_classes:
        warnings.warn(
            "Some of metainfo's classes share a colour, and cannot be told apart in pictures: "
            f"{palette!r}",
            stacklevel=2,
        )


def check_path(name: str, value: str | os.PathLike) -> None:
    """Raise TypeError unless a value can be a path."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be a path, not {type(value).__name__} {value!r}")


def missing_files(root: Path, lists: Sequence[str], folders: Sequence[str]) -> list[str]:
    """Which of the folders are not there; and the lists, if none of them is."""
    missing = [f"{folder}/" for folder in folders if not (root / folder).is_dir()]
    if lists and not any((root / name).is_file() for name in lists):
        missing.append(" or ".join(lists))
    return missing


def what_lacks(root: Path, missing: Sequence[str]) -> str:
    """What is missing of a data set, with the path of its root."""
    state = "lacks" if root.is_dir() else "does not exist; it should hold"
    return f"{root.absolute()} {state} {', '.join(missing)}"
