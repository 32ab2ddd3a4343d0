"""PASCAL VOC with ScribbleSup's scribbles (Lin et al., CVPR 2016)."""

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmcv.transforms import LoadImageFromFile
from mmseg.datasets import BaseSegDataset, PascalVOCDataset
from mmseg.registry import DATASETS

from ..ops.checks import check_flag
from .file_check import DatasetFilesError, check_files, listed
from .id_list import read_id_list
from .label_png import UNLABELLED, check_label
from .transforms.label_check import check_label_transforms

PHOTO_FOLDER = "JPEGImages"
LABEL_FOLDERS = {"scribble": "pascal_2012_scribble", "mask": "SegmentationClassAug"}
ID_LISTS = {
    "train": ("ImageSets/SegmentationAug/train.txt", "ImageSets/Segmentation/train_aug.txt"),
    "val": ("ImageSets/SegmentationAug/val.txt", "ImageSets/Segmentation/val.txt"),
}
FLAGS = {"lazy_init", "reduce_zero_label", "serialize_data", "test_mode"}  # of BaseSegDataset


class DatasetNotFoundError(FileNotFoundError):
    """The data set, or a whole part of it, is not in the folder that was named."""


@DATASETS.register_module()
class PascalScribbleDataset(BaseSegDataset):
    """PASCAL VOC 2012 with scribbles to train from and full masks to validate on.

    The root folder holds::

        JPEGImages/<id>.jpg
        SegmentationClassAug/<id>.png     full masks
        pascal_2012_scribble/<id>.png     scribbles, 255 = unlabelled
        ImageSets/SegmentationAug/{train,val}.txt
            or ImageSets/Segmentation/{train_aug,val}.txt

    Label maps have one channel (palette or grey) with VOC's 21 indices. Every photo and label
    map of the split is looked at before training starts: a second or two for a thousand of them.
    A warning tells of labels that look as if another value than 255 stood for unlabelled.

    Args:
        data_root (str): the root folder.
        split (str): 'train' or 'val'.
        labels (str): 'scribble' or 'mask'.
        ann_file (str): another list of ids, relative to the root.
        data_prefix (dict): other folders, `img_path` and `seg_map_path`, relative to the root.
        ignore_index (int): what stands for unlabelled in the label maps; the network gets 255.
        **kwargs: as in BaseSegDataset, such as `pipeline`, `indices`, `metainfo` and
            `reduce_zero_label` (0 stands for unlabelled, and the classes count from 1).

    Raises:
        DatasetNotFoundError: the root, a folder or the id list is missing.
        TypeError: an argument is of another type.
        DatasetFilesError: files of the split are missing, unreadable, truncated, of unequal size
            or hold labels that are none of VOC's.
        ValueError: a transform of the pipeline would invent labels.
    """

    METAINFO = PascalVOCDataset.METAINFO

    def __init__(
        self,
        data_root: str,
        split: str = "train",
        labels: str = "scribble",
        ann_file: str | None = None,
        data_prefix: dict | None = None,
        ignore_index: int = UNLABELLED,
        **kwargs,
    ) -> None:
        if split not in list(ID_LISTS):
            raise ValueError(f"split must be 'train' or 'val', got {split!r}")
        if labels not in list(LABEL_FOLDERS):
            raise ValueError(f"labels must be 'scribble' or 'mask', got {labels!r}")
        check_label("ignore_index", ignore_index)
        for name in FLAGS & kwargs.keys():
            check_flag(name, kwargs[name])
        check_path("data_root", data_root)
        if ann_file is not None:
            check_path("ann_file", ann_file)
        self.labels = labels
        prefix = dict(img_path=PHOTO_FOLDER, seg_map_path=LABEL_FOLDERS[labels])
        for name, folder in (data_prefix or {}).items():
            if name not in prefix:
                raise ValueError(f"data_prefix has {' and '.join(prefix)}, not {name!r}")
            check_path(f"data_prefix[{name!r}]", folder)
            prefix[name] = str(folder)
        lists = [str(ann_file)] if ann_file else ID_LISTS[split]
        super().__init__(
            data_root=str(data_root),
            ann_file=find_files(Path(data_root), lists, tuple(prefix.values())),
            data_prefix=prefix,
            ignore_index=ignore_index,
            **kwargs,
        )

    def full_init(self) -> None:
        if not self._fully_initialized:
            check_label_transforms(self)
        super().full_init()

    def load_data_list(self) -> list[dict]:
        try:
            ids = read_id_list(self.ann_file)
        except ValueError as error:
            raise DatasetFilesError(str(error)) from None
        if not ids:
            warnings.warn(f"{self.ann_file} names no photo: the data set is empty", stacklevel=2)
            self.serialize_data = False  # MMEngine cannot serialize nothing.
        if repeated := [name for name, count in Counter(ids).items() if count > 1]:
            warnings.warn(
                f"{self.ann_file} names {len(repeated)} photos more than once, and they count as "
                f"often: {listed(repeated)}",
                stacklevel=2,
            )
        photos, labels = (Path(self.data_prefix[key]) for key in ("img_path", "seg_map_path"))
        pairs = [
            (photos / f"{name}{self.img_suffix}", labels / f"{name}{self.seg_map_suffix}")
            for name in ids
        ]
        loaders = [step for step in self.pipeline.transforms if isinstance(step, LoadImageFromFile)]
        check_files(
            pairs,
            len(self.METAINFO["classes"]),
            scribbles=self.labels == "scribble",
            ignore_index=self.ignore_index,
            reduce_zero_label=self.reduce_zero_label,
            loader=loaders[0] if loaders else None,
        )
        return [
            dict(
                img_path=str(photo),
                seg_map_path=str(label),
                label_map=self._label_map_of_files(),
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for photo, label in pairs
        ]

    def _label_map_of_files(self) -> dict[int, int] | None:
        """BaseSegDataset's, which also makes the files' value for unlabelled 255."""
        if self.ignore_index == UNLABELLED:
            return self.label_map
        # LoadAnnotations reduces the labels before it maps them.
        unlabelled = (self.ignore_index - int(self.reduce_zero_label)) % 256
        return {**(self.label_map or {}), unlabelled: UNLABELLED}


def check_path(name: str, value: str | os.PathLike) -> None:
    """Raise TypeError unless a value can be a path."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} must be a path, not {type(value).__name__} {value!r}")


def find_id_list(root: Path, split: str, label_folder: str) -> str:
    """The id list of a split, relative to the root, once all of the layout has been found."""
    return find_files(root, ID_LISTS[split], (PHOTO_FOLDER, label_folder))


def find_files(root: Path, lists: Sequence[str], folders: Sequence[str]) -> str:
    """The first of the lists that is there, once all folders have been found.

    Raises:
        DatasetNotFoundError: a folder is missing, or all lists are.
    """
    missing = [f"{folder}/" for folder in folders if not (root / folder).is_dir()]
    found = [name for name in lists if (root / name).is_file()]
    if not found:
        missing.append(" or ".join(lists))
    if missing:
        raise DatasetNotFoundError(not_found_message(root, missing))
    return found[0]


def not_found_message(root: Path, missing: list[str]) -> str:
    state = "lacks" if root.is_dir() else "does not exist; it should hold"
    return f"""The data set is not there: {root.absolute()} {state} {", ".join(missing)}.
Put the data there, or name another folder in the environment variable PASCAL_SCRIBBLE_ROOT:
  JPEGImages/            the photos of PASCAL VOC 2012 (VOCtrainval_11-May-2012.tar)
  SegmentationClassAug/  the masks of VOC 2012 and SBD as one-channel PNGs ("SBD augmented VOC")
  pascal_2012_scribble/  the scribbles of ScribbleSup as one-channel PNGs, 255 = unlabelled
  ImageSets/Segmentation/train_aug.txt, val.txt   the ids, one a line (10,582 and 1,449)
tools/dataset_converters/pascal_scribble.py makes this of the downloads and says where they are had.
To try the training without that data, run `make train`: it draws a small sample data set first
(python tools/make_sample_dataset.py) and trains on it."""
