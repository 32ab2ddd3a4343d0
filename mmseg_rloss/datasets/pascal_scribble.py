"""PASCAL VOC with ScribbleSup's scribbles (Lin et al., CVPR 2016)."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mmseg.datasets import BaseSegDataset, PascalVOCDataset
from mmseg.registry import DATASETS
from PIL import Image

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
    map of the split is looked for, and their sizes are compared, before training starts.

    Args:
        data_root (str): the root folder.
        split (str): 'train' or 'val'.
        labels (str): 'scribble' or 'mask'.
        **kwargs: as in BaseSegDataset, such as `pipeline`, `indices` and `metainfo`.

    Raises:
        DatasetNotFoundError: the root, a folder or the id list is missing.
        DatasetFilesError: files of the split are missing, unreadable or of unequal size.
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
    """Look at the header of every photo and its label map, and report all that is wrong."""
    with ThreadPoolExecutor() as pool:
        problems = [problem for problem in pool.map(pair_problem, pairs) if problem]
    if problems:
        shown = problems[:MAX_NAMES]
        if len(problems) > MAX_NAMES:
            shown.append(f"and {len(problems) - MAX_NAMES} more")
        raise DatasetFilesError(
            f"{len(problems)} photos of the data set cannot be used:\n  " + "\n  ".join(shown)
        )


def pair_problem(pair: tuple[Path, Path]) -> str | None:
    """What is wrong with a photo and its label map, told by their names."""
    sizes = []
    for path in pair:
        try:
            with Image.open(path) as image:
                sizes.append(image.size)
                channels = len(image.getbands())
        except FileNotFoundError:
            return f"{path}: missing"
        except OSError as error:
            return f"{path}: unreadable ({error})"
    photo, labels = pair
    if channels != 1:
        return f"{labels}: {channels} channels where a label map has one"
    if sizes[0] != sizes[1]:
        return f"{labels}: {sizes[1]} pixels, its photo {photo.name} has {sizes[0]}"
    return None
