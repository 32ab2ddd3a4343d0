"""Look at a scribble data set: statistics and a contact sheet.

    python tools/browse_scribbles.py data/pascal_scribble --out scribbles.png

The data set lies in the folders of PascalScribbleDataset. What networks predict, as
tools/predict.py writes it, can stand between the scribbles and the masks:

    python tools/browse_scribbles.py data/sample --split val --ids val_0000 val_0001 \\
        --predictions "cross entropy"=ce/masks "with DenseCRF"=densecrf/masks --out sheet.png
"""

import argparse
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mmcv.transforms import LoadImageFromFile
from rich import box, print
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed
from mmseg_rloss.command_line import (
    add_label_options,
    at_least,
    output_picture,
    say,
    shown,
    stop_if_any,
)
from mmseg_rloss.datasets.file_check import doubt_about
from mmseg_rloss.datasets.id_list import read_id_list
from mmseg_rloss.datasets.label_png import UNLABELLED, read_label_png
from mmseg_rloss.datasets.pascal_scribble import (
    ID_LISTS,
    LABEL_FOLDERS,
    PHOTO_FOLDER,
    DatasetNotFoundError,
    PascalScribbleDataset,
    find_id_list,
)
from mmseg_rloss.datasets.photo import photo_size
from mmseg_rloss.visualization import class_legend, draw_sheet, overlay_labels, read_photo

Labels = tuple[np.ndarray, np.ndarray]  # and their colours, as read_label_png returns them

VOC_CLASSES = PascalScribbleDataset.METAINFO["classes"]


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    ids = read_ids(args.root, args.split)
    absent = set(args.ids) - set(ids)
    if absent:
        raise SystemExit(f"The {args.split} split has no {', '.join(sorted(absent))}.")
    statistics = Statistics()
    bad: dict[str, str] = {}  # what is wrong, by id
    for name in track(ids, "Counting"):
        try:
            statistics.add(*labels_of_photo(args, name))
        except (OSError, ValueError) as error:
            bad[name] = str(error)
    print(statistics.table(args.classes))
    if doubt := statistics.doubt(args.ignore_index, args.reduce_zero_label):
        print(f"Is this what you mean? {doubt}.")
    usable = [name for name in ids if name not in bad]
    evenly = np.linspace(0, len(usable) - 1, min(args.count, len(usable))).astype(int)
    sheet = {}
    for name in args.ids or [usable[i] for i in evenly]:
        try:
            sheet[shown(name)] = pictures(args, name)
        except (OSError, ValueError) as error:
            bad[name] = str(error)
    if sheet:
        legend = class_legend(statistics.names(args.classes), statistics.palette)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        draw_sheet(sheet, legend).savefig(args.out)
        say(f"{args.out} shows {len(sheet)} of {len(ids)} photos.")
    stop_if_any(list(bad.values()), "photos are left out")


def read_ids(root: Path, split: str) -> list[str]:
    try:
        ids = read_id_list(root / find_id_list(root, split, LABEL_FOLDERS["scribble"]))
    except (DatasetNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from None
    if not ids:
        raise SystemExit(f"The list of the {split} split in {root} names no photo.")
    return ids


def labels_of_photo(args: argparse.Namespace, name: str) -> tuple[Labels | None, Labels | None]:
    """Labels and colours of a photo's scribbles and mask, where it has them.

    Raises:
        OSError, ValueError: One of the three files cannot be used, or does not fit the others.
    """
    size = photo_size(photo_path(args.root, name), LoadImageFromFile())
    scribbles, mask = (read_labels(args, kind, name, size) for kind in ("scribble", "mask"))
    return scribbles, mask


def photo_path(root: Path, name: str) -> Path:
    return root / PHOTO_FOLDER / f"{name}.jpg"


def read_labels(
    args: argparse.Namespace, kind: str, name: str, size: tuple[int, int]
) -> Labels | None:
    path = args.root / LABEL_FOLDERS[kind] / f"{name}.png"
    if not path.exists():
        return None
    if kind == "mask":
        return fitting(path, size, args.mask_ignore_index, args.mask_reduce_zero_label)
    return fitting(path, size, args.ignore_index, args.reduce_zero_label)


def fitting(path: Path, size: tuple[int, int], *options: int) -> Labels:
    """A label map of the size of its photo."""
    labels, colours = read_label_png(path, *options)
    if labels.shape != size:
        raise ValueError(f"{path}: {labels.shape}, but its photo has {size} (height, width)")
    return labels, colours


def pictures(args: argparse.Namespace, name: str) -> dict[str, np.ndarray]:
    """The row of a photo in the contact sheet."""
    photo = read_photo(photo_path(args.root, name))
    size = photo.shape[:2]
    row = {"photo": photo}
    if scribbles := read_labels(args, "scribble", name, size):
        pale = photo // 2 + 127  # dark colours show on it
        row["scribbles"] = overlay_labels(pale, *scribbles, opacity=1)
    for title, folder in args.predictions:
        row[title] = overlay_labels(photo, *fitting(folder / f"{name}.png", size))
    if mask := read_labels(args, "mask", name, size):
        row["mask"] = overlay_labels(photo, *mask)
    return row


@dataclass
class Statistics:
    """Counts over the scribbles of a split; pixels and images by label."""

    images: int = 0
    images_without: int = 0
    pixels: int = 0
    images_of: Counter = field(default_factory=Counter)
    pixels_of: Counter = field(default_factory=Counter)
    compared_of: Counter = field(default_factory=Counter)  # with masks
    wrong_of: Counter = field(default_factory=Counter)
    palette: np.ndarray | None = None
    counts: np.ndarray = field(default_factory=lambda: np.zeros(256, dtype=np.int64))  # of labels

    def add(
        self,
        scribbles: Labels | None,
        mask: Labels | None,
    ) -> None:
        self.images += 1
        if scribbles is not None:
            self.counts += np.bincount(scribbles[0].ravel(), minlength=256)
        if scribbles is None or (scribbles[0] == UNLABELLED).all():
            self.images_without += 1
            return
        labels, self.palette = scribbles
        self.pixels += labels.size
        drawn = labels != UNLABELLED
        self.images_of.update(np.unique(labels[drawn]).tolist())
        self.pixels_of.update(labels[drawn].tolist())
        if mask is not None:
            compared = drawn & (mask[0] != UNLABELLED)
            self.compared_of.update(labels[compared].tolist())
            self.wrong_of.update(labels[compared & (labels != mask[0])].tolist())

    def doubt(self, ignore_index: int, reduce_zero_label: bool) -> str | None:
        """What is odd about the labels, if another value may stand for unlabelled."""
        default = ignore_index == UNLABELLED and not reduce_zero_label
        return doubt_about(self.counts, scribbles=True) if default else None

    def names(self, classes: list[str]) -> dict[int, str]:
        return {
            label: classes[label] if label < len(classes) else f"label {label}"
            for label in sorted(self.pixels_of)
        }

    def table(self, classes: list[str]) -> Table:
        table = Table(box=box.SIMPLE, title=f"Scribbles of {self.images} images")
        for column in ("", "images", "pixels", "of all pixels", "against the mask"):
            table.add_column(column, justify="right" if column else "left")

        def add_row(name: str, images: int, pixels: int, compared: int, wrong: int) -> None:
            against = f"{wrong / compared:.2%}" if compared else "no mask"
            share = f"{pixels / max(1, self.pixels):.2%}"
            table.add_row(name, f"{images:,}", f"{pixels:,}", share, against)

        for label, name in self.names(classes).items():
            counters = (self.images_of, self.pixels_of, self.compared_of, self.wrong_of)
            add_row(name, *(counter[label] for counter in counters))
        table.add_section()
        totals = (c.total() for c in (self.pixels_of, self.compared_of, self.wrong_of))
        add_row("all classes", self.images - self.images_without, *totals)
        table.add_row("without scribbles", f"{self.images_without:,}")
        return table


def title_and_folder(text: str) -> tuple[str, Path]:
    title, separator, folder = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"must be TITLE=FOLDER, got {text}")
    if not Path(folder).is_dir():
        raise argparse.ArgumentTypeError(f"{folder} is no folder")
    return title, Path(folder)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = "(default: %(default)s)"
    parser.add_argument("root", type=Path, help="folder of the data set")
    parser.add_argument("--split", choices=list(ID_LISTS), default="train", help=default)
    parser.add_argument(
        "--out", type=output_picture, default=Path("scribbles.png"), help=f"sheet {default}"
    )
    parser.add_argument("--ids", nargs="+", default=[], help="photos for the sheet")
    parser.add_argument(
        "--count",
        type=at_least(1),
        default=12,
        help=f"or how many, evenly from the split {default}",
    )
    parser.add_argument(
        "--predictions",
        type=title_and_folder,
        nargs="+",
        default=[],
        metavar="TITLE=FOLDER",
        help="columns of label maps, NAME.png in a folder",
    )
    parser.add_argument(
        "--classes", nargs="+", default=VOC_CLASSES, help="names of the labels (default: VOC's)"
    )
    add_label_options(parser, "scribbles")
    add_label_options(parser, "masks", prefix="mask-")
    args = parser.parse_args(argv)
    titles = ["photo", "scribbles", "mask", *(title for title, _ in args.predictions)]
    if len(set(titles)) < len(titles):
        parser.error("argument --predictions: two columns would share a title")
    return args


if __name__ == "__main__":
    main()
