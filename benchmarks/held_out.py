"""Make a data set that validates on a part of the training images, for compare_losses.py.

    python benchmarks/held_out.py ../shared/voc_animals --out data/held_out

Settings are chosen on such a part, so that the validation images are not looked at before the end.
Part 0 is what the settings of self-labelling were chosen on; no two parts share an image. Folders
are linked, lists written.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

from data_set import LISTS, link_data_set

from mmseg_rloss.datasets.id_list import read_id_list

SIZE = 100


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="root of the data set, with masks for training")
    parser.add_argument("--out", type=Path, required=True, help="root of the new one")
    parser.add_argument(
        "--part", type=int, default=0, help=f"which {SIZE} images to hold out (default: 0)"
    )
    options = parser.parse_args(argv)
    ids = read_id_list(options.source / LISTS / "train_aug.txt")
    if not 0 <= options.part < len(ids) // SIZE:
        parser.error(
            f"--part {options.part}: with {len(ids)} training images there are parts 0 to "
            f"{len(ids) // SIZE - 1} of {SIZE}"
        )
    held_out = part_of(ids, options.part)
    train = [one for one in ids if one not in held_out]
    link_data_set(options.source, options.out, train, held_out)
    print(f"{options.out}: {len(train)} images to train on, {len(held_out)} to validate on.")


def part_of(ids: list[str], part: int) -> list[str]:
    """The images of a part, in the order of the list; always the same ones."""
    shuffled = list(ids)
    random.Random(7).shuffle(shuffled)
    chosen = set(shuffled[part * SIZE : (part + 1) * SIZE])
    return [one for one in ids if one in chosen]


if __name__ == "__main__":
    main()
