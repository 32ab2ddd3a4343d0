"""Simulate scribbles from full masks, for a data set that has masks only.

    python tools/make_scribbles.py SegmentationClassAug --out pascal_2012_scribble

Each connected region of a mask, the background's too, gets one stroke along its spine, or one dot
with --points. The same seed gives the same scribbles, however many masks there are.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed
from mmseg_rloss.command_line import (
    add_label_options,
    at_least,
    output_folder,
    say,
    stop_if_any,
    visible,
)
from mmseg_rloss.datasets.file_check import doubt_about
from mmseg_rloss.datasets.label_png import UNLABELLED, read_label_png, write_label_png
from mmseg_rloss.datasets.scribbles import draw_points, draw_scribbles


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    masks = visible(path for path in args.masks.glob("*") if path.suffix.lower() == ".png")
    if not masks:
        raise SystemExit(f"{args.masks} holds no mask (*.png).")
    if args.out.resolve() == args.masks.resolve():
        raise SystemExit("--out names the folder of the masks: name another, or they are lost.")
    args.out.mkdir(parents=True, exist_ok=True)
    draw = draw_points if args.points else draw_scribbles
    bad = []
    labelled = 0
    pixels = np.zeros(256, dtype=np.int64)  # of each label in the masks
    for path in track(masks, "Drawing"):
        try:
            mask, palette = read_label_png(path, args.ignore_index, args.reduce_zero_label)
        except (OSError, ValueError) as error:
            bad.append(f"{path.name} is no mask: {error}")
            continue
        scribbles = draw(mask, np.random.default_rng([args.seed, *os.fsencode(path.stem)]))
        try:
            write_label_png(scribbles, args.out / path.name, palette)
        except OSError as error:
            bad.append(f"{path.name}: its scribbles cannot be written ({error})")
            continue
        labelled += np.count_nonzero(scribbles != UNLABELLED)
        pixels += np.bincount(mask.ravel(), minlength=256)
    share = f"{labelled / max(1, pixels.sum()):.2%} of the pixels of {len(masks) - len(bad)} masks"
    say(f"{args.out} holds scribbles on {share}.")
    if not args.reduce_zero_label and (doubt := doubt_about(pixels, scribbles=False)):
        print(f"Is this what you mean? {doubt}.")
    stop_if_any(bad, "files have no scribbles")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = "(default: %(default)s)"
    parser.add_argument("masks", type=Path, help="folder of one-channel PNGs")
    parser.add_argument("--out", type=output_folder, required=True, help="folder for the scribbles")
    parser.add_argument("--points", action="store_true", help="dots instead of strokes")
    parser.add_argument("--seed", type=at_least(0), default=0, help=default)
    add_label_options(parser, "masks")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
