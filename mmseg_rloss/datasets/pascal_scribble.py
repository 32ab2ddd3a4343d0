"""PASCAL VOC with ScribbleSup's scribbles (Lin et al., CVPR 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg.datasets import PascalVOCDataset
from mmseg.registry import DATASETS

from .scribble_dataset import (
    DatasetNotFoundError,
    ScribbleDataset,
    missing_files,
    what_lacks,
)

IMAGE_FOLDER = "JPEGImages"
LABEL_FOLDERS = {"scribble": "pascal_2012_scribble", "mask": "SegmentationClassAug"}
ID_LISTS = {
    "train": ("ImageSets/SegmentationAug/train.txt", "ImageSets/Segmentation/train_aug.txt"),
    "val": ("ImageSets/SegmentationAug/val.txt", "ImageSets/Segmentation/val.txt"),
}


@DATASETS.register_module()
class PascalScribbleDataset(ScribbleDataset):
    """PASCAL VOC 2012 with scribbles to train from and full masks to validate on.

    The root folder holds::

        JPEGImages/<id>.jpg
        SegmentationClassAug/<id>.png     full masks
        pascal_2012_scribble/<id>.png     scribbles, 255 = unlabelled
        ImageSets/SegmentationAug/{train,val}.txt
            or ImageSets/Segmentation/{train_aug,val}.txt

    Label maps have one channel (palette or grey) with VOC's 21 indices. Every image and label
    map of the split is checked before training starts: a second or two for a thousand of them.
    A warning names labels that look as if another value than 255 stood for unlabelled.

    Args:
        data_root: The root folder.
        split: 'train' or 'val'.
        labels: 'scribble' or 'mask'.
        ann_file: Another list of ids, relative to the root.
        data_prefix: Other folders, `img_path` and `seg_map_path`, relative to the root.
        img_suffix: The suffix of the images.
        **kwargs: As in ScribbleDataset, such as `ignore_index`, and in BaseSegDataset; `metainfo`
            can choose some of VOC's classes.

    Raises:
        DatasetNotFoundError: The root, a folder or the id list is missing.
        TypeError: An argument is of another type.
        DatasetFilesError: Files of the split are missing, unreadable, truncated, of unequal size
            or hold labels other than VOC's.
        ValueError: A transform of the pipeline would invent labels.
    """

    METAINFO = PascalVOCDataset.METAINFO
    IMAGE_FOLDER = IMAGE_FOLDER
    LABEL_FOLDERS = LABEL_FOLDERS

    def __init__(
        self,
        data_root: str,
        split: str = "train",
        labels: str = "scribble",
        ann_file: str | None = None,
        data_prefix: dict | None = None,
        img_suffix: str | None = ".jpg",
        **kwargs: Any,
    ) -> None:
        if split not in list(ID_LISTS):
            raise ValueError(f"split must be 'train' or 'val', got {split!r}")
        self._split = split
        super().__init__(
            data_root,
            labels=labels,
            ann_file="" if ann_file is None else ann_file,
            data_prefix=data_prefix,
            img_suffix=img_suffix,
            **kwargs,
        )

    def _find_list(self, root: Path, ann_file: str, folders: Sequence[str]) -> str:
        return find_files(root, [ann_file] if ann_file else ID_LISTS[self._split], folders)

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int] | None:
        """Where the chosen ones of VOC's classes go.

        Raises:
            ValueError: Some are not VOC's.
        """
        others = [name for name in new_classes or () if name not in cls.METAINFO["classes"]]
        if others:
            raise ValueError(
                f"metainfo has classes that are not a subset of VOC's: {', '.join(others)}. "
                "ScribbleDataset reads custom ones"
            )
        return super().get_label_map(new_classes)


def find_id_list(root: Path, split: str, label_folder: str) -> str:
    """The id list of a split, relative to the root, once all of the layout has been found."""
    return find_files(root, ID_LISTS[split], (IMAGE_FOLDER, label_folder))


def find_files(root: Path, lists: Sequence[str], folders: Sequence[str]) -> str:
    """The first list that exists, once all folders have been found.

    Raises:
        DatasetNotFoundError: A folder is missing, or all lists are.
    """
    if missing := missing_files(root, lists, folders):
        raise DatasetNotFoundError(not_found_message(root, missing))
    return next(name for name in lists if (root / name).is_file())


def not_found_message(root: Path, missing: list[str]) -> str:
    return f"""The data set is not there: {what_lacks(root, missing)}.
Put the data there, or name another folder in the environment variable PASCAL_SCRIBBLE_ROOT:
  JPEGImages/            the images of PASCAL VOC 2012 (VOCtrainval_11-May-2012.tar)
  SegmentationClassAug/  the masks of VOC 2012 and SBD as one-channel PNGs ("SBD augmented VOC")
  pascal_2012_scribble/  the scribbles of ScribbleSup as one-channel PNGs, 255 = unlabelled
  ImageSets/Segmentation/train_aug.txt, val.txt   the ids, one a line (10,582 and 1,449)
tools/dataset_converters/pascal_scribble.py makes this of the downloads and says where to get them.
To try the training without that data, run `make train`: it draws a small sample data set first
(python tools/make_sample_dataset.py) and trains on it."""
