"""Simulate scribbles from full masks, for a data set that has masks only.

    python tools/make_scribbles.py SegmentationClassAug --out pascal_2012_scribble
    python tools/make_scribbles.py configs/my_config.py

With a config, the masks are those of its validation's folder, and the scribbles go into its
training's folder, for the images that it trains on.

Each connected region of a mask, the background's too, gets one stroke along its spine, or one dot
with --points. The same seed gives the same scribbles, however many masks there are.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from mmseg_rloss.command_line import (
    add_label_options,
    at_least,
    output_folder,
    read_config,
    say,
    stop_if_any,
    visible,
)
from mmseg_rloss.datasets.config_data import LabelMaps, data_of, inner_dataset, label_folder
from mmseg_rloss.datasets.file_check import doubt_about
from mmseg_rloss.datasets.image_folder import ids_by_suffix
from mmseg_rloss.datasets.label_png import UNLABELLED, read_label_png, write_label_png
from mmseg_rloss.datasets.scribbles import draw_points, draw_scribbles


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        maps, names, out = of_config(args) if args.masks.suffix == ".py" else of_folder(args)
    except (OSError, ValueError) as error:  # DatasetNotFoundError is an OSError.
        raise SystemExit(str(error)) from None
    if not names:
        raise SystemExit(f"{args.masks} holds no mask (*.png).")
    if out.resolve() == maps.folder.resolve():
        raise SystemExit("--out names the folder of the masks: name another, or they are lost.")
    out.mkdir(parents=True, exist_ok=True)
    draw = draw_points if args.points else draw_scribbles
    bad = []
    labelled = 0
    pixels = np.zeros(256, dtype=np.int64)  # of each label in the masks
    for name in track(names, "Drawing"):
        path = maps.folder / name
        try:
            mask, palette = read_label_png(path, maps.ignore_index, maps.reduce_zero_label)
        except (OSError, ValueError) as error:
            bad.append(f"{name} is not a mask: {error}")
            continue
        scribbles = draw(mask, np.random.default_rng([args.seed, *os.fsencode(path.stem)]))
        try:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            write_label_png(scribbles, out / name, palette)
        except OSError as error:
            bad.append(f"{name}: its scribbles cannot be written ({error})")
            continue
        labelled += np.count_nonzero(scribbles != UNLABELLED)
        pixels += np.bincount(mask.ravel(), minlength=256)
    share = f"{labelled / max(1, pixels.sum()):.2%} of the pixels of {len(names) - len(bad)} masks"
    say(f"{out} holds scribbles on {share}.")
    if not maps.reduce_zero_label and (doubt := doubt_about(pixels, scribbles=False)):
        print(f"Is this what you mean? {doubt}.")
    stop_if_any(bad, "files have no scribbles")


def of_folder(args: argparse.Namespace) -> tuple[LabelMaps, list[str], Path]:
    """The folder of the masks, their names in it, and the folder to write to."""
    if args.out is None:
        raise ValueError("--out must name the folder for the scribbles: only a config has its own.")
    masks = visible(path for path in args.masks.glob("*") if path.suffix.lower() == ".png")
    maps = LabelMaps(args.masks, ".png", args.ignore_index, args.reduce_zero_label)
    return maps, [path.name for path in masks], args.out


def of_config(args: argparse.Namespace) -> tuple[LabelMaps, list[str], Path]:
    """As :func:`of_folder`, by the data sets of a config."""
    config = read_config(args.masks)
    out = args.out or label_folder(config, "train")
    trained, validated = (inner_dataset(config, split) for split in ("train", "val"))
    if trained.get("reduce_zero_label") or trained.get("ignore_index", UNLABELLED) != UNLABELLED:
        raise ValueError(
            f"The training set of {args.masks} takes another value than 255 for unlabelled, "
            "which the scribbles will have: leave out its reduce_zero_label and ignore_index."
        )
    validation = data_of(config, "val")
    maps = validation.maps
    names = ids_by_suffix(maps.folder, maps.suffix)
    if trained.get("ann_file") or trained.get("split"):
        label_folder(config, "train").mkdir(parents=True, exist_ok=True)  # or it is not there
        training = set(data_of(config, "train").images)
        names = [name for name in names if name in training]
    elif validated.get("ann_file"):
        names = [name for name in names if name not in validation.images]
    return maps, [f"{name}{maps.suffix}" for name in names], out


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = "(default: %(default)s)"
    parser.add_argument("masks", type=Path, help="folder of one-channel PNGs, or config")
    parser.add_argument(
        "--out", type=output_folder, help="folder for the scribbles (default: the config's)"
    )
    parser.add_argument("--points", action="store_true", help="dots instead of strokes")
    parser.add_argument("--seed", type=at_least(0), default=0, help=default)
    add_label_options(parser, "masks")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
