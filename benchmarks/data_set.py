"""A data set of PASCAL VOC's layout that shows some of the images of another."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mmseg_rloss.datasets.pascal_scribble import IMAGE_FOLDER, LABEL_FOLDERS

LISTS = Path("ImageSets/Segmentation")


def link_data_set(source: Path, out: Path, train: Iterable[str], val: Iterable[str]) -> None:
    """Link the folders of ``source`` and write lists of its ids."""
    (out / LISTS).mkdir(parents=True, exist_ok=True)
    for folder in (IMAGE_FOLDER, *LABEL_FOLDERS.values()):
        link = out / folder
        link.unlink(missing_ok=True)
        link.symlink_to((source / folder).resolve())
    for name, ids in dict(train_aug=train, val=val).items():
        (out / LISTS / f"{name}.txt").write_text("".join(f"{one}\n" for one in ids))
