"""Make a data set of unbalanced classes out of a balanced one, for compare_losses.py.

    python benchmarks/unbalanced.py ../shared/voc_animals --out data/unbalanced

Keeps the training images that show a cat or a dog and no cow, horse or sheep, and of each of the
latter as many images as are asked for. Validation images stay. Folders are linked, lists written.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from data_set import LISTS, link_data_set

from mmseg_rloss.datasets.id_list import read_id_list
from mmseg_rloss.datasets.label_png import read_label_png
from mmseg_rloss.datasets.pascal_scribble import LABEL_FOLDERS, PascalScribbleDataset

COMMON, RARE = ("cat", "dog"), ("cow", "horse", "sheep")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="root of the data set, with masks for training")
    parser.add_argument("--out", type=Path, required=True, help="root of the new one")
    parser.add_argument("--rare", type=int, default=20, help="images of each rare class (20)")
    options = parser.parse_args(argv)
    masks = options.source / LABEL_FOLDERS["mask"]
    shown = {
        name: np.unique(read_label_png(masks / f"{name}.png")[0])
        for name in read_id_list(options.source / LISTS / "train_aug.txt")
    }
    kept = choose(shown, options.rare)
    val = read_id_list(options.source / LISTS / "val.txt")
    link_data_set(options.source, options.out, kept, val)
    print(f"{options.out} has {len(kept)} training images.")


def choose(shown: dict[str, np.ndarray], rare: int) -> list[str]:
    """The images to train on, from the labels that each shows."""
    names = PascalScribbleDataset.METAINFO["classes"]
    seen: Counter[str] = Counter()
    kept = []
    for image, labels in shown.items():
        classes = {names[label] for label in labels if label < len(names)}
        if wanted := classes.intersection(RARE):
            if any(seen[name] >= rare for name in wanted):
                continue
            seen.update(wanted)
        elif not classes.intersection(COMMON):
            continue
        kept.append(image)
    return kept


if __name__ == "__main__":
    main()
