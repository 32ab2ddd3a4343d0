"""Look at a scribble data set: statistics and a contact sheet.

    python tools/browse_scribbles.py configs/my_config.py --out scribbles.png
    python tools/browse_scribbles.py data/pascal_scribble --out scribbles.png

Folders, classes and colours are those of a config, of its training set or with --split val of its
validation set; or else the folders and classes of PascalScribbleDataset. What networks predict, as
tools/predict.py writes it, can stand between the scribbles and the masks:

    python tools/browse_scribbles.py configs/my_config.py --split val --ids val_0000 val_0001 \\
        --predictions "cross entropy"=ce/masks "with DenseCRF"=densecrf/masks --out sheet.png
"""

import argparse
import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmcv.transforms import LoadImageFromFile
from rich import box, print
from rich.progress import track
from rich.table import Table

from mmseg_rloss.command_line import (
    add_label_options,
    at_least,
    output_picture,
    read_config,
    say,
    stop_if_any,
)
from mmseg_rloss.datasets.config_data import LabelMaps, data_of
from mmseg_rloss.datasets.file_check import doubt_about
from mmseg_rloss.datasets.id_list import read_id_list
from mmseg_rloss.datasets.image import image_size, shown
from mmseg_rloss.datasets.image_folder import files_by_id, only_image
from mmseg_rloss.datasets.label_png import UNLABELLED, full_palette
from mmseg_rloss.datasets.pascal_scribble import (
    ID_LISTS,
    IMAGE_FOLDER,
    LABEL_FOLDERS,
    PascalScribbleDataset,
    find_id_list,
)
from mmseg_rloss.visualization import (
    SCRIBBLES,
    class_legend,
    draw_sheet,
    names_of,
    pictures_of,
    read_image,
)

Labels = tuple[np.ndarray, np.ndarray]  # and their colours, as read_label_png returns them

VOC_CLASSES = PascalScribbleDataset.METAINFO["classes"]


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        data = data_of_config(args) if is_config(args.root) else data_of_folder(args)
    except (OSError, ValueError) as error:  # DatasetNotFoundError is an OSError.
        raise SystemExit(str(error)) from None
    absent = set(args.ids) - set(data.ids)
    if absent:
        raise SystemExit(f"The {args.split} split has no {', '.join(sorted(absent))}.")
    check_out(args, data)
    statistics = Statistics()
    colours = Colours(data.palette)
    bad: dict[str, str] = {}  # what is wrong, by id
    for name in track(data.ids, "Counting"):
        try:
            statistics.add(*labels_of_image(data, name))
        except (OSError, ValueError) as error:
            bad[name] = str(error)
    print(statistics.table(data.classes))
    if doubt := statistics.doubt(data.scribbles):
        print(f"Is this what you mean? {doubt}.")
    usable = [name for name in data.ids if name not in bad]
    evenly = np.linspace(0, len(usable) - 1, min(args.count, len(usable))).astype(int)
    sheet = {}
    for name in args.ids or [usable[i] for i in evenly]:
        try:
            sheet[shown(name)] = pictures(args, data, name, colours)
        except (OSError, ValueError) as error:
            bad[name] = str(error)
    if sheet:
        labels = sorted({*statistics.pixels_of, *colours.seen})
        legend = class_legend(names_of(labels, data.classes), colours.palette)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        draw_sheet(sheet, legend).savefig(args.out)
        if colours.doubt:
            print(f"Is this what you mean? In the sheet, {colours.doubt}.")
        say(f"{args.out} shows {len(sheet)} of {len(data.ids)} images.")
    stop_if_any([*data.problems, *bad.values()], "images are left out")


class Data(NamedTuple):
    """What is looked at."""

    ids: list[str]
    images: dict[str, list[Path]]  # by id
    folder: Path  # of the images
    scribbles: LabelMaps | None
    masks: LabelMaps | None
    classes: Sequence[str]
    palette: np.ndarray | None  # None for those of the label maps
    problems: Sequence[str] = ()  # with images that are not among the ids

    def image(self, name: str) -> Path:
        """The image of an id.

        Raises:
            ValueError: There is none, or there are two.
        """
        return only_image(self.images, name, self.folder)


def is_config(path: Path) -> bool:
    return path.suffix == ".py" and not path.is_dir()


def data_of_config(args: argparse.Namespace) -> Data:
    """The training or validation set of a config; of the other, the kind of labels that it has."""
    config = read_config(args.root)
    chosen = data_of(config, args.split)
    other = None
    with contextlib.suppress(OSError, ValueError):  # It may be missing.
        other = data_of(config, "val" if args.split == "train" else "train").maps
    if other and other.folder == chosen.maps.folder:
        other = None
    if not chosen.images and not chosen.problems:
        raise ValueError(f"The {args.split} split of {args.root} names no image.")
    of_training, of_validation = chosen.maps, other
    if args.split == "val":
        of_training, of_validation = of_validation, of_training
    return Data(
        list(chosen.images),
        {name: [path] for name, path in chosen.images.items()},
        chosen.folder,
        of_training,
        of_validation,
        args.classes or chosen.classes,
        chosen.palette,
        chosen.problems,
    )


def data_of_folder(args: argparse.Namespace) -> Data:
    """A split in the layout of PascalScribbleDataset."""
    root = args.root
    ids = read_id_list(root / find_id_list(root, args.split, LABEL_FOLDERS["scribble"]))
    if not ids:
        raise ValueError(f"The list of the {args.split} split in {root} names no image.")
    scribbles, masks = (root / LABEL_FOLDERS[kind] for kind in ("scribble", "mask"))
    return Data(
        ids,
        files_by_id(root / IMAGE_FOLDER),
        root / IMAGE_FOLDER,
        LabelMaps(scribbles, ".png", args.ignore_index, args.reduce_zero_label),
        LabelMaps(masks, ".png", args.mask_ignore_index, args.mask_reduce_zero_label),
        args.classes or VOC_CLASSES,
        palette=None,
    )


def check_out(args: argparse.Namespace, data: Data) -> None:
    """Refuse a sheet that would be written over a file that it shows."""
    maps = [LabelMaps(folder) for _, folder in args.predictions]
    maps += [kind for kind in (data.scribbles, data.masks) if kind]
    for name in data.ids:
        inputs = [*data.images.get(name, []), *(kind.path(name) for kind in maps)]
        if args.out.resolve() in {path.resolve() for path in inputs}:
            raise SystemExit(f"--out would write the sheet over {args.out}: name another file.")


def labels_of_image(data: Data, name: str) -> tuple[Labels | None, Labels | None]:
    """Labels and colours of an image's scribbles and mask, where it has them.

    Raises:
        OSError, ValueError: One of the three files cannot be used, or does not fit the others.
    """
    size = image_size(data.image(name), LoadImageFromFile())
    return read_labels(data.scribbles, name, size), read_labels(data.masks, name, size)


def read_labels(maps: LabelMaps | None, name: str, size: tuple[int, int]) -> Labels | None:
    return maps.read(name, size) if maps and maps.path(name).exists() else None


class Colours:
    """One colour for each label of a sheet: the config's, or that of the first file to show it."""

    def __init__(self, palette: np.ndarray | None) -> None:
        self.palette = full_palette(palette)  # (256, 3)
        self.seen: set[int] = set()
        self.doubt: str | None = None
        self._fixed = 0 if palette is None else len(palette)

    def add(self, labels: np.ndarray, own: np.ndarray) -> None:
        """Give the labels of a file, whose palette (256, 3) is its own, their colours."""
        present = set(np.unique(labels).tolist()) - {UNLABELLED}
        for label in sorted(present):
            alike = [other for other in self.seen if (self.palette[other] == own[label]).all()]
            if not self._fixed and alike and label not in alike:
                self.doubt = (
                    f"label {label} has in one label map the colour that label {alike[0]} has in "
                    "another. If they count the classes differently, name the network's config in "
                    "the place of the folder"
                )
        for label in present - self.seen:
            self.seen.add(label)
            if label >= self._fixed:
                self.palette[label] = own[label]


def pictures(
    args: argparse.Namespace, data: Data, name: str, colours: Colours
) -> dict[str, np.ndarray]:
    """The row of an image in the contact sheet."""
    image = read_image(data.image(name))
    size = image.shape[:2]
    maps = {SCRIBBLES: read_labels(data.scribbles, name, size)}
    maps |= {title: LabelMaps(folder).read(name, size) for title, folder in args.predictions}
    maps["mask"] = read_labels(data.masks, name, size)
    present = {title: labels for title, labels in maps.items() if labels is not None}
    for labels in present.values():
        colours.add(*labels)
    return pictures_of(image, {title: of[0] for title, of in present.items()}, colours.palette)


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
        labels = scribbles[0]
        self.pixels += labels.size
        drawn = labels != UNLABELLED
        self.images_of.update(np.unique(labels[drawn]).tolist())
        self.pixels_of.update(labels[drawn].tolist())
        if mask is not None:
            compared = drawn & (mask[0] != UNLABELLED)
            self.compared_of.update(labels[compared].tolist())
            self.wrong_of.update(labels[compared & (labels != mask[0])].tolist())

    def doubt(self, maps: LabelMaps | None) -> str | None:
        """What is odd about the labels, if another value may stand for unlabelled."""
        default = maps and maps.ignore_index == UNLABELLED and not maps.reduce_zero_label
        return doubt_about(self.counts, scribbles=True) if default else None

    def table(self, classes: Sequence[str]) -> Table:
        table = Table(box=box.SIMPLE, title=f"Scribbles of {self.images} images")
        for column in ("", "images", "pixels", "of all pixels", "against the mask"):
            table.add_column(column, justify="right" if column else "left")

        def add_row(name: str, images: int, pixels: int, compared: int, wrong: int) -> None:
            against = f"{wrong / compared:.2%}" if compared else "no mask"
            share = f"{pixels / max(1, self.pixels):.2%}"
            table.add_row(name, f"{images:,}", f"{pixels:,}", share, against)

        for label, name in names_of(sorted(self.pixels_of), classes).items():
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
        raise argparse.ArgumentTypeError(f"{folder} is not a folder")
    return title, Path(folder)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = "(default: %(default)s)"
    parser.add_argument("root", type=Path, help="config, or folder of the data set")
    parser.add_argument("--split", choices=list(ID_LISTS), default="train", help=default)
    parser.add_argument(
        "--out", type=output_picture, default=Path("scribbles.png"), help=f"sheet {default}"
    )
    parser.add_argument("--ids", nargs="+", default=[], help="images for the sheet")
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
        "--classes", nargs="+", help="names of the labels (default: the config's, or VOC's)"
    )
    add_label_options(parser, "scribbles")
    add_label_options(parser, "masks", prefix="mask-")
    args = parser.parse_args(argv)
    titles = ["image", SCRIBBLES, "mask", *(title for title, _ in args.predictions)]
    if len(set(titles)) < len(titles):
        parser.error("argument --predictions: two columns would share a title")
    return args


if __name__ == "__main__":
    main()
