"""Checks the images and label maps of a data set before a network sees them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from .image import check_regular, image_size, reason
from .label_png import UNLABELLED, labels_of, standardize

MAX_NAMES = 100  # in one error message


class DatasetFilesError(ValueError):
    """Files of the data set are missing, cannot be read or do not fit together."""


class Finding(NamedTuple):
    """What there is to report about an image and its label map."""

    label_path: Path
    problem: str | None = None
    pixels: np.ndarray = np.zeros(256, np.int64)  # of each label, as the file has them
    unknown: int | None = None  # a label of the file that has no class


def check_files(
    pairs: Iterable[tuple[Path, Path]],
    num_classes: int,
    scribbles: bool,
    ignore_index: int = UNLABELLED,
    reduce_zero_label: bool = False,
    loader: LoadImageFromFile | None = None,
    owner: str = "",
    problems: Iterable[str] = (),
) -> None:
    """Check every image and its label map, and report everything that is wrong.

    Label maps are decoded; of an image, the header and the end of the file are read.

    Args:
        pairs: The paths of each image and its label map.
        num_classes: Labels from this number on have no class.
        scribbles: Whether most pixels should be unlabelled.
        ignore_index: What stands for unlabelled in the label maps.
        reduce_zero_label: Whether 0 does, and the classes count from 1.
        loader: How the pipeline reads images, if not by default.
        owner: Whose argument ignore_index is, if not the data set's.
        problems: What is wrong with images that are not among the pairs.

    Raises:
        DatasetFilesError: Files cannot be used; it names each of them, and why.
    """
    inspect = partial(
        inspect_pair,
        num_classes=num_classes,
        ignore_index=ignore_index,
        reduce_zero_label=reduce_zero_label,
        loader=loader or LoadImageFromFile(),
    )
    with ThreadPoolExecutor() as pool:
        findings = list(pool.map(inspect, pairs))
    problems = [*problems, *(finding.problem for finding in findings if finding.problem)]
    if problems:
        raise DatasetFilesError(
            f"{len(problems)} images of the data set cannot be used:\n  {listed(problems)}"
            + _hint_at_other_values(findings, num_classes, owner)
        )
    unlabelled = sorted({ignore_index, 0, UNLABELLED} if reduce_zero_label else {ignore_index})
    silent = [
        str(finding.label_path)
        for finding in findings
        if finding.pixels.sum() == finding.pixels[unlabelled].sum()
    ]
    if silent:
        warnings.warn(
            f"{len(silent)} label maps have no labelled pixel, and teach the cross entropy "
            f"nothing:\n  {listed(silent)}",
            stacklevel=2,
        )
    if findings and len(silent) < len(findings) and not reduce_zero_label:
        pixels = np.sum([finding.pixels for finding in findings], axis=0)
        if doubt := doubt_about(pixels, scribbles, ignore_index, owner):
            warnings.warn(doubt, stacklevel=2)


def doubt_about(
    pixels: np.ndarray, scribbles: bool, ignore_index: int = UNLABELLED, owner: str = ""
) -> str | None:
    """What is odd about the labels of a whole set, if another value may stand for unlabelled.

    Args:
        pixels: (256,) numbers of pixels of each label.
        scribbles: Whether most pixels should be unlabelled.
        ignore_index: The label of those.
        owner: As in :func:`check_files`.
    """
    present = np.flatnonzero(pixels).tolist()
    if present == [0, UNLABELLED] and ignore_index == UNLABELLED:
        return (
            "All label maps hold 0 and 255 alone, that is class 0 and unlabelled. If 255 stands "
            "for a class here, as in binary masks, make it 1"
        )
    most = int(pixels.argmax())
    if scribbles and not pixels[ignore_index] and pixels[most] > pixels.sum() / 2:
        remedy = f"say {_setting(most, owner)}"
        if most == 0:
            remedy += ", or reduce_zero_label=True if the classes count from 1"
        return (
            f"No pixel is unlabelled ({ignore_index}), and most are labelled {most}. If {most} "
            f"stands for unlabelled, {remedy}"
        )
    return None


def _setting(label: int, owner: str) -> str:
    return f"ignore_index={label}" + (f" of {owner}" if owner else "")


def _hint_at_other_values(findings: list[Finding], num_classes: int, owner: str) -> str:
    label, *others = {finding.unknown for finding in findings}
    if others or label is None:
        return ""
    hint = f"\nAll of them hold the label {label}: if it stands for unlabelled, say "
    hint += _setting(label, owner)
    if label == num_classes:
        hint += "; if 0 does, and the classes count from 1, say reduce_zero_label=True"
    return hint


def listed(names: list[str]) -> str:
    """The names, one a line, cut off where nobody would read on."""
    more = [f"and {len(names) - MAX_NAMES} more"] if len(names) > MAX_NAMES else []
    return "\n  ".join(names[:MAX_NAMES] + more)


def inspect_pair(
    pair: tuple[Path, Path],
    num_classes: int,
    ignore_index: int,
    reduce_zero_label: bool,
    loader: LoadImageFromFile,
) -> Finding:
    """What is wrong with an image and its label map, or else how many pixels each label has."""
    image_path, label_path = pair
    found = partial(Finding, label_path)
    try:
        size = image_size(image_path, loader)
    except OSError as error:
        return found(str(error))
    try:
        check_regular(label_path)
        with Image.open(label_path) as image:
            image.load()
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        return found(str(error) if missing else f"{label_path}: unreadable ({error})")
    except Exception as error:  # Pillow raises many types for broken files.
        return found(f"{label_path}: unreadable ({reason(error)})")
    if len(image.getbands()) != 1:
        return found(f"{label_path}: {len(image.getbands())} channels where a label map has one")
    try:
        labels = labels_of(image, label_path)
    except ValueError as error:
        return found(str(error))
    if labels.shape != size:
        sizes = f"{labels.shape[::-1]} pixels, its image {image_path.name} has {size[::-1]}"
        return found(f"{label_path}: {sizes}")
    pixels = np.bincount(labels.ravel(), minlength=256)
    classes = standardize(np.arange(256, dtype=np.uint8), ignore_index, reduce_zero_label)
    unknown = np.flatnonzero(pixels * ((classes >= num_classes) & (classes != UNLABELLED)))
    if len(unknown):
        label = unknown[-1].item()
        text = f"{label_path}: label {label}, which is not one of the {num_classes} classes"
        return found(text, unknown=label)
    return found(pixels=pixels)
