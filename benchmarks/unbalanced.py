"""Make a data set of unbalanced classes out of a balanced one, for compare_losses.py.

    python benchmarks/unbalanced.py ../shared/voc_animals --out data/unbalanced

Keeps the training photos that show a cat or a dog and no cow, horse or sheep, and of each of the
latter as many photos as are asked for. Validation photos stay. Folders are linked, lists written.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmseg_rloss.datasets.id_list import read_id_list
from mmseg_rloss.datasets.label_png import read_label_png
from mmseg_rloss.datasets.pascal_scribble import LABEL_FOLDERS, PHOTO_FOLDER, PascalScribbleDataset

COMMON, RARE = ("cat", "dog"), ("cow", "horse", "sheep")
LISTS = Path("ImageSets/Segmentation")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="root of the data set, with masks for training")
    parser.add_argument("--out", type=Path, required=True, help="root of the new one")
    parser.add_argument("--rare", type=int, default=20, help="photos of each rare class (20)")
    options = parser.parse_args(argv)
    masks = options.source / LABEL_FOLDERS["mask"]
    shown = {
        name: np.unique(read_label_png(masks / f"{name}.png")[0])
        for name in read_id_list(options.source / LISTS / "train_aug.txt")
    }
    kept = choose(shown, options.rare)
    (options.out / LISTS).mkdir(parents=True, exist_ok=True)
    for folder in (PHOTO_FOLDER, *LABEL_FOLDERS.values()):
        link = options.out / folder
        link.unlink(missing_ok=True)
        link.symlink_to((options.source / folder).resolve())
    (options.out / LISTS / "train_aug.txt").write_text("\n".join(kept) + "\n")
    val = (options.source / LISTS / "val.txt").read_text()
    (options.out / LISTS / "val.txt").write_text(val)
    print(f"{options.out} has {len(kept)} training photos.")


def choose(shown: dict[str, np.ndarray], rare: int) -> list[str]:
    """The photos to train on, from the labels that each shows."""
    names = PascalScribbleDataset.METAINFO["classes"]
    seen: Counter[str] = Counter()
    kept = []
    for photo, labels in shown.items():
        classes = {names[label] for label in labels if label < len(names)}
        if wanted := classes.intersection(RARE):
            if any(seen[name] >= rare for name in wanted):
                continue
            seen.update(wanted)
        elif not classes.intersection(COMMON):
            continue
        kept.append(photo)
    return kept


if __name__ == "__main__":
    main()
