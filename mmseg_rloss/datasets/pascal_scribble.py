"""PASCAL VOC with ScribbleSup's scribbles (Lin et al., CVPR 2016)."""

import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from mmseg.datasets import BaseSegDataset, PascalVOCDataset
from mmseg.registry import DATASETS
from PIL import Image

from .label_png import UNLABELLED

PHOTO_FOLDER = "JPEGImages"
LABEL_FOLDERS = {"scribble": "pascal_2012_scribble", "mask": "SegmentationClassAug"}
ID_LISTS = {
    "train": ("ImageSets/SegmentationAug/train.txt", "ImageSets/Segmentation/train_aug.txt"),
    "val": ("ImageSets/SegmentationAug/val.txt", "ImageSets/Segmentation/val.txt"),
}
MAX_NAMES = 100  # in one error message


class DatasetNotFoundError(FileNotFoundError):
    """The data set, or a whole part of it, is not in the folder that was named."""


class DatasetFilesError(ValueError):
    """Files of the data set are missing, cannot be read or do not fit together."""


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

    Args:
        data_root (str): the root folder.
        split (str): 'train' or 'val'.
        labels (str): 'scribble' or 'mask'.
        **kwargs: as in BaseSegDataset, such as `pipeline`, `indices` and `metainfo`.

    Raises:
        DatasetNotFoundError: the root, a folder or the id list is missing.
        DatasetFilesError: files of the split are missing, unreadable, truncated, of unequal size
            or hold labels that are none of VOC's.
    """

    METAINFO = PascalVOCDataset.METAINFO

    def __init__(
        self, data_root: str, split: str = "train", labels: str = "scribble", **kwargs
    ) -> None:
        if split not in ID_LISTS:
            raise ValueError(f"split must be 'train' or 'val', got {split!r}")
        if labels not in LABEL_FOLDERS:
            raise ValueError(f"labels must be 'scribble' or 'mask', got {labels!r}")
        super().__init__(
            data_root=str(data_root),
            ann_file=find_id_list(Path(data_root), split, LABEL_FOLDERS[labels]),
            data_prefix=dict(img_path=PHOTO_FOLDER, seg_map_path=LABEL_FOLDERS[labels]),
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        data_list = super().load_data_list()
        check_files((Path(item["img_path"]), Path(item["seg_map_path"])) for item in data_list)
        return data_list


def find_id_list(root: Path, split: str, label_folder: str) -> str:
    """The id list of a split, relative to the root, once all of the layout has been found."""
    missing = [
        f"{folder}/" for folder in (PHOTO_FOLDER, label_folder) if not (root / folder).is_dir()
    ]
    found = [name for name in ID_LISTS[split] if (root / name).is_file()]
    if not found:
        missing.append(" or ".join(ID_LISTS[split]))
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


def check_files(pairs: Iterable[tuple[Path, Path]]) -> None:
    """Look at every photo and its label map, and report all that is wrong.

    Label maps are decoded; of a photo, the header and the end of the file are read.
    """
    problems, unlabelled = [], []
    with ThreadPoolExecutor() as pool:
        for problem, label_path in pool.map(inspect_pair, pairs):
            if problem:
                problems.append(problem)
            elif label_path:
                unlabelled.append(str(label_path))
    if problems:
        raise DatasetFilesError(
            f"{len(problems)} photos of the data set cannot be used:\n  " + listed(problems)
        )
    if unlabelled:
        warnings.warn(
            f"{len(unlabelled)} label maps have no labelled pixel, and teach the cross entropy "
            f"nothing:\n  {listed(unlabelled)}",
            stacklevel=2,
        )


def listed(names: list[str]) -> str:
    """The names a line each, as far as a person would read them."""
    more = [f"and {len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES else []
    return "\n  ".join(names[:MAX_NAMES] + more)


def inspect_pair(pair: tuple[Path, Path]) -> tuple[str | None, Path | None]:
    """What is wrong with a photo and its label map, and the map's path if it labels nothing."""
    photo, label_path = pair
    path = photo
    try:
        with Image.open(photo) as image:
            size = image.size
            if image.format == "JPEG" and not ends_as_jpeg(photo):
                return f"{photo}: truncated", None
        path = label_path
        with Image.open(label_path) as image:
            if len(image.getbands()) != 1:
                bands = len(image.getbands())
                return f"{label_path}: {bands} channels where a label map has one", None
            labels = np.asarray(image)
    except FileNotFoundError:
        return f"{path}: missing", None
    except (OSError, SyntaxError) as error:  # Pillow tells of a broken PNG by a SyntaxError
        return f"{path}: unreadable ({error})", None
    if labels.shape[::-1] != size:
        return f"{label_path}: {labels.shape[::-1]} pixels, its photo {photo.name} has {size}", None
    known = labels[labels != UNLABELLED]
    if known.size == 0:
        return None, label_path
    if known.max() >= len(PascalScribbleDataset.METAINFO["classes"]):
        return f"{label_path}: label {known.max()}, which is none of VOC's 21 classes", None
    return None, None


def ends_as_jpeg(path: Path) -> bool:
    """Whether the end marker is where it belongs; some cameras add a few bytes after it."""
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 1024), 2)
        return b"\xff\xd9" in file.read()
