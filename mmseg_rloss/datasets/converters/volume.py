"""Volumes, slice by slice: NIfTI, and the h5 files of MSCMR's and ACDC's scribbles."""

from __future__ import annotations

import math
import re
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from ..image import reason
from .files import sources
from .marks import Annotation, Export, FormatError, Item, Options
from .png import marks_of_labels, unlabelled_value

NIFTI = (".nii", ".nii.gz")
H5 = (".h5", ".hdf5")
LABELS = re.compile(r"[_-](scribbles?|gt|seg|labels?)$")  # ends of the names of label volumes
SCRIBBLES = ("scribble", "label")  # data sets of an h5 file, the first that is there
MAX_COMPRESSION = 1100  # deflate's is 1032


def read(path: Path, options: Options) -> Export:
    """A folder of volumes, or one. An h5 file holds its image; NIfTI's are in another folder.

    0 stands for unlabelled, and the classes count from 1, unless another value is named, such as
    the 4 of ACDC's scribbles.
    """
    if not options.classes:
        raise FormatError("volumes carry no class names: pass them with --classes")
    unlabelled = unlabelled_value(options, default=0)
    items: list[Item] = []
    for file in sources(path, *NIFTI, *H5):
        try:
            labels, _ = load(file, options.images)
        except FormatError as error:
            items.append(Item(str(file), partial(fail, error)))
            continue
        name = stem(file)
        digits = max(3, len(str(len(labels))))
        for i in range(len(labels)):
            part = name if len(labels) == 1 else f"{name}_{i:0{digits}d}"
            read_slice = partial(annotation, part, file, i, options, unlabelled)
            items.append(Item(f"{file}, slice {i}", read_slice))
    return Export(items, options.classes)


def fail(error: FormatError) -> Annotation:
    raise error


def annotation(name: str, file: Path, index: int, options: Options, unlabelled: int) -> Annotation:
    """The annotation of one slice.

    Raises:
        FormatError: Its labels are not whole numbers from 0 to 255, or have no class.
    """
    labels, image = (part[index] for part in load(file, options.images))
    whole = labels.astype(np.int64)
    if not np.array_equal(whole, labels) or whole.min() < 0 or whole.max() > 255:
        raise FormatError("it holds labels that are not whole numbers from 0 to 255")
    marks = marks_of_labels(whole, options.classes or [], unlabelled)
    return Annotation(name, labels.shape, marks, image)


@lru_cache(maxsize=1)  # its slices are read one after the other
def load(file: Path, images: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """The labels of a volume and its image in grey levels, (slices, H, W)."""
    labels, image = read_h5(file) if file.suffix in H5 else read_nifti(file, images)
    if labels.shape != image.shape or labels.ndim not in (2, 3):
        raise FormatError(f"its labels are {labels.shape}, its image {image.shape}")
    shape = (-1, *labels.shape[-2:])
    return labels.reshape(shape), grey(image).reshape(shape)


def read_h5(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The scribbles and the image of a file, (H, W) or (slices, H, W)."""
    h5py = needed("h5py")
    try:
        with h5py.File(file) as contents:
            found = [name for name in SCRIBBLES if name in contents]
            if not found or "image" not in contents:
                raise FormatError("it lacks a data set image, or scribble or label")
            for name in (found[0], "image"):
                check_holds(file, contents[name].nbytes)
            return contents[found[0]][()], contents["image"][()]
    except OSError as error:
        raise FormatError(f"unreadable ({reason(error)})") from None


def read_nifti(file: Path, images: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """The labels and the image of the same name, as (slices, rows, columns)."""
    needed("nibabel")
    if images is None:
        raise FormatError("volumes of NIfTI need the folder of their images")
    name = stem(file)
    found = [path for path in sources(images, *NIFTI) if stem(path) == name and path != file]
    if len(found) != 1:
        raise FormatError(f"{images} holds {len(found)} volumes {name}, where one belongs")
    return volume(file), volume(found[0])


def volume(file: Path) -> np.ndarray:
    """(slices, rows, columns) of NIfTI's x, y and z."""
    try:
        contents = needed("nibabel").load(file, mmap=False)
        check_holds(file, math.prod(contents.shape) * contents.get_data_dtype().itemsize)
        return np.asarray(contents.dataobj).T
    except FormatError:
        raise
    except Exception as error:  # nibabel has types of its own
        raise FormatError(f"{file}: unreadable ({reason(error)})") from None


def check_holds(file: Path, announced: int) -> None:
    """Refuse a header that claims more data than the file can hold.

    Raises:
        FormatError: It announces more bytes than the best compression takes out of the file.
    """
    if announced > MAX_COMPRESSION * file.stat().st_size:
        raise FormatError(f"{file}: its header announces {announced:,} bytes, which it cannot hold")


def needed(module: str) -> ModuleType:
    """A library that only volumes need.

    Raises:
        FormatError: It is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise FormatError(f"these volumes need {module}: pip install {module}") from None


def stem(file: Path) -> str:
    """The name of a volume, without the ending that marks it as one of labels."""
    name = file.name.removesuffix(".gz")
    return LABELS.sub("", name.rpartition(".")[0])


def grey(image: np.ndarray) -> np.ndarray:
    """Grey levels, uint8, from the least to the largest value of a volume."""
    values = np.nan_to_num(image.astype(np.float64))
    span = values.max() - values.min()
    return np.round((values - values.min()) * (255 / span if span else 0)).astype(np.uint8)
