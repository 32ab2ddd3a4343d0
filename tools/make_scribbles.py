"""Simulate scribbles from full masks, for a data set that has masks only.

    python tools/make_scribbles.py SegmentationClassAug --out pascal_2012_scribble

Each connected region of a mask, the background's too, gets one stroke along its spine, or one dot
with --points. The same seed gives the same scribbles, however many masks there are.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed
from mmseg_rloss.datasets.label_png import UNLABELLED, read_label_png, write_label_png
from mmseg_rloss.datasets.scribbles import draw_points, draw_scribbles


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    masks = sorted(args.masks.glob("*.png"))
    if not masks:
        raise SystemExit(f"{args.masks} holds no mask (*.png).")
    if args.out.resolve() == args.masks.resolve():
        raise SystemExit("--out names the folder of the masks: name another, or they are lost.")
    args.out.mkdir(parents=True, exist_ok=True)
    draw = draw_points if args.points else draw_scribbles
    labelled = total = 0
    for path in track(masks, "Drawing"):
        try:
            mask, palette = read_label_png(path)
        except (OSError, ValueError) as error:
            raise SystemExit(f"{path} is no mask: {error}") from None
        scribbles = draw(mask, np.random.default_rng([args.seed, *path.stem.encode()]))
        write_label_png(scribbles, args.out / path.name, palette)
        labelled += np.count_nonzero(scribbles != UNLABELLED)
        total += scribbles.size
    print(
        f"{args.out} holds scribbles on {labelled / total:.2%} of the pixels of {len(masks)} masks."
    )


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("masks", type=Path, help="folder of one-channel PNGs, 255 = unlabelled")
    parser.add_argument("--out", type=Path, required=True, help="folder for the scribbles")
    parser.add_argument("--points", action="store_true", help="dots instead of strokes")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
