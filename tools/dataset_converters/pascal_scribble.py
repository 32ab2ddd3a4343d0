"""Bring PASCAL VOC 2012 and ScribbleSup's scribbles into the layout of the configs.

    python tools/dataset_converters/pascal_scribble.py --voc VOCtrainval_11-May-2012.tar \\
        --masks SegmentationClassAug --scribbles pascal_2012 --out data/pascal_scribble

Each source is a folder or a tar; called without them, the tool says where to get them.
Every file is read and checked on the way. The result appears as a whole, or not at all.
"""

import argparse
import io
import lzma
import math
import re
import signal
import sys
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from rich.progress import track
from scipy.io import loadmat

from mmseg_rloss.command_line import (
    add_label_options,
    output_folder,
    say,
    written_whole,
)
from mmseg_rloss.datasets.file_check import check_files, listed
from mmseg_rloss.datasets.id_list import read_id_list
from mmseg_rloss.datasets.image import reason
from mmseg_rloss.datasets.image_folder import regular_files
from mmseg_rloss.datasets.label_png import UNLABELLED, labels_of, standardize, write_label_png
from mmseg_rloss.datasets.pascal_scribble import (
    ID_LISTS,
    IMAGE_FOLDER,
    LABEL_FOLDERS,
    DatasetNotFoundError,
    PascalScribbleDataset,
    find_id_list,
)
from mmseg_rloss.datasets.scribbles import draw_stroke

CLASSES = PascalScribbleDataset.METAINFO["classes"]
COUNTS = {"train": 10_582, "val": 1_449}
SOURCES = {
    "voc": """the images of PASCAL VOC 2012: VOCtrainval_11-May-2012.tar, or the folder VOCdevkit
    in it. It is the "training/validation data" of the challenge's page,
    host.robots.ox.ac.uk/pascal/VOC/voc2012""",
    "masks": """the masks of the Semantic Boundaries Dataset (SBD): the PNGs of the folder
    SegmentationClassAug, which many semantic segmentation projects offer as "SBD augmented VOC",
    or the folder dataset/cls of SBD's own benchmark.tgz""",
    "scribbles": """the scribbles of ScribbleSup: the XML files of the authors' page,
    jifengdai.org/downloads/scribble_sup, or PNGs made of them (pascal_2012_scribble)""",
}
YEAR = re.compile(r"VOC20\d\d")
# Beside pascal_2012, ScribbleSup has scribbles of other classes for the same images.
OTHER_SCRIBBLES = {"pascal_context", "pascal_2007"}


class CheckedMember(tarfile.TarInfo):
    """A member of a tar, which does not take a damaged header for the end of the tar."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> tarfile.TarInfo:
        """As TarInfo.

        Raises:
            tarfile.ReadError: The tar is damaged or truncated.
        """
        try:
            return super().fromtarfile(tar)
        except tarfile.EOFHeaderError:
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(
                f"{tar.name} is damaged at byte {tar.offset} ({error}): get it again"
            ) from None


class Files:
    """The files of a folder or a tar, by their name, with the folder they lie in or without."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.is_dir():
            self._tar, top = None, [path.resolve().name]
            found = {file.relative_to(path).as_posix(): file for file in regular_files(path)}
        else:
            self._tar, top = tarfile.open(path, tarinfo=CheckedMember), []  # noqa: SIM115  # for good
            found = {member.name: member for member in self._tar if member.isfile()}
        self._files: dict[str, dict[str, Path | tarfile.TarInfo]] = {}
        for name, file in found.items():
            if is_wanted(name):
                parts = [*top, *PurePosixPath(name).parts]
                for key in {parts[-1], "/".join(parts[-2:])}:
                    self._files.setdefault(key, {})[name] = file

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def read(self, name: str) -> bytes:
        """The contents of the file of that name.

        Raises:
            ValueError: There is none, it cannot be read, or two of the name differ.
        """
        if name not in self:
            raise ValueError(f"{name} is missing")
        try:
            contents = {self._read(file): path for path, file in self._files[name].items()}
        except OSError as error:
            raise ValueError(f"{name} is unreadable: {error}") from None
        if len(contents) > 1:
            paths = " and ".join(sorted(contents.values()))
            raise ValueError(f"{self._path} has more than one {name}: {paths}. Name one's folder")
        return next(iter(contents))

    def _read(self, file: Path | tarfile.TarInfo) -> bytes:
        return self._tar.extractfile(file).read() if self._tar else file.read_bytes()


def is_wanted(name: str) -> bool:
    """Whether to read a file: not if it is of another year of VOC, of other classes, or macOS's."""
    *folders, file = PurePosixPath(name).parts
    years = [folder for folder in folders if YEAR.fullmatch(folder)]
    return not (
        file.startswith(".")
        or (years and years[-1] != "VOC2012")
        or OTHER_SCRIBBLES.intersection(folders)
    )


class Sources:
    """What the data set is made of. Each of its methods raises ValueError with what is wrong."""

    def __init__(self, args: argparse.Namespace) -> None:
        paths = (args.voc, args.masks, args.scribbles)
        self._voc, self._masks, self._scribbles = map(Files, paths)
        self._unlabelled = args.ignore_index, args.reduce_zero_label

    def ids(self, partial: bool) -> dict[str, list[str]]:
        """The ids of each split; of partial data, those that are there."""
        voc = {split: self._listed(split) for split in COUNTS}
        sbd = {PurePosixPath(name).stem for name in self._masks if name.endswith((".png", ".mat"))}
        ids = {"train": (voc["train"] | sbd) - voc["val"], "val": voc["val"]}
        if partial:
            there = {name for name in ids["train"] | ids["val"] if self._has(name)}
            scribbled = {PurePosixPath(name).stem for name in self._scribbles}
            ids = {"train": ids["train"] & there & scribbled, "val": ids["val"] & there}
        return {split: sorted(names) for split, names in ids.items()}

    def _listed(self, split: str) -> set[str]:
        name = f"Segmentation/{split}.txt"
        try:
            lines = self._voc.read(name).decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{name} is not a list in UTF-8: {error}") from None
        return {line.strip() for line in lines if line.strip()}

    def _has(self, name: str) -> bool:
        mask = any(f"{name}{suffix}" in self._masks for suffix in (".png", ".mat"))
        mask = mask or f"SegmentationClass/{name}.png" in self._voc
        return mask and f"{IMAGE_FOLDER}/{name}.jpg" in self._voc

    def image(self, name: str) -> tuple[bytes, tuple[int, int]]:
        """The file of an image, and its height and width."""
        data = self._voc.read(f"{IMAGE_FOLDER}/{name}.jpg")
        with open_image(data, f"{name}.jpg") as image:
            return data, image.size[::-1]

    def mask(self, name: str) -> np.ndarray:
        """(H, W) uint8, of VOC if it has the image, or else of SBD."""
        if f"SegmentationClass/{name}.png" in self._voc:
            return read_labels(self._voc.read(f"SegmentationClass/{name}.png"), f"{name}.png")
        if f"cls/{name}.mat" in self._masks:
            return read_mat(self._masks.read(f"cls/{name}.mat"), f"{name}.mat")
        return read_labels(self._masks.read(f"{name}.png"), f"{name}.png")

    def scribbles(self, name: str) -> np.ndarray:
        """(H, W) uint8, 255 where there is no scribble."""
        if f"{name}.xml" in self._scribbles:
            return draw_xml(self._scribbles.read(f"{name}.xml"))
        labels = read_labels(self._scribbles.read(f"{name}.png"), f"{name}.png of the scribbles")
        return standardize(labels, *self._unlabelled)


def draw_xml(data: bytes) -> np.ndarray:
    """Draw the polylines of a ScribbleSup annotation, later ones over earlier ones.

    Raises:
        ValueError: It is not such an annotation.
    """
    try:
        annotation = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the last: of encodings
        raise ValueError(f"the XML is broken: {error}") from None
    size = number(annotation, "size/height"), number(annotation, "size/width")
    if not (min(size) > 0 and math.prod(size) <= Image.MAX_IMAGE_PIXELS):
        raise ValueError(f"the XML has the size {size} (height, width), which no image has")
    labels = np.full(size, UNLABELLED, dtype=np.uint8)
    for polygon in annotation.iter("polygon"):
        tag = polygon.findtext("tag", "").strip()
        if tag not in CLASSES:
            raise ValueError(f"the XML has a scribble of the unknown class {tag!r}")
        points = [[number(point, "X"), number(point, "Y")] for point in polygon.iter("point")]
        if not points:
            raise ValueError("the XML has a scribble without points")
        # X and Y count from 0, and some lie outside, which ScribbleSup's own reader moves to the
        # border as well (docs/data.md).
        points = np.clip(np.array(points, dtype=object), 0, [size[1] - 1, size[0] - 1])
        labels[draw_stroke(points.astype(int), size)] = CLASSES.index(tag)
    return labels


def number(element: ElementTree.Element, path: str) -> int:
    text = element.findtext(path, "").strip()
    try:
        return round(float(text))
    except (ValueError, OverflowError):
        raise ValueError(f"the XML has {text!r} for {path}, not a number") from None


def open_image(data: bytes, name: str) -> Image.Image:
    """Decode an image to the end."""
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception as error:  # Pillow raises many types for broken files.
        raise ValueError(f"{name} is unreadable: {reason(error)}") from None
    return image


def read_labels(data: bytes, name: str) -> np.ndarray:
    image = open_image(data, name)
    if len(image.getbands()) != 1:
        raise ValueError(f"{name} has the channels {image.mode} where a label map has one")
    return labels_of(image, name)


def read_mat(data: bytes, name: str) -> np.ndarray:
    """The mask in a file of SBD's dataset/cls."""
    try:
        mask = loadmat(io.BytesIO(data))["GTcls"]["Segmentation"].item()
        return labels_of(Image.fromarray(mask), name)
    except Exception as error:  # SciPy raises whatever its parser meets.
        raise ValueError(f"{name} is not a mask of SBD: {reason(error)}") from None


def check_labels(labels: np.ndarray, size: tuple[int, int], kind: str) -> None:
    if labels.shape != size:
        raise ValueError(f"the {kind} has {labels.shape} pixels, the image {size} (height, width)")
    unknown = sorted(set(np.unique(labels).tolist()) - {*range(len(CLASSES)), UNLABELLED})
    if unknown:
        raise ValueError(f"the {kind} has the labels {unknown}, which have no class")


def write_image(sources: Sources, name: str, split: str, out: Path) -> None:
    """Write one image with its mask and, for training, its scribbles.

    Raises:
        ValueError: Something is wrong with it.
    """
    data, size = sources.image(name)
    kinds = {"mask": sources.mask} | ({"scribble": sources.scribbles} if split == "train" else {})
    for kind, read in kinds.items():
        labels = read(name)
        check_labels(labels, size, kind)
        write_label_png(labels, out / LABEL_FOLDERS[kind] / f"{name}.png")
    (out / IMAGE_FOLDER / f"{name}.jpg").write_bytes(data)


def write_dataset(sources: Sources, ids: dict[str, list[str]], out: Path) -> None:
    for folder in (IMAGE_FOLDER, *LABEL_FOLDERS.values(), "ImageSets/Segmentation"):
        (out / folder).mkdir(parents=True)
    for split, names in ids.items():
        ids_of_split = "".join(f"{name}\n" for name in names)
        (out / ID_LISTS[split][-1]).write_text(ids_of_split, encoding="utf-8")
    problems = []
    jobs = [(name, split) for split, names in ids.items() for name in names]
    for name, split in track(jobs, "Converting"):
        try:
            write_image(sources, name, split, out)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise SystemExit(
            f"{len(problems)} images cannot be used, nothing was kept:\n  {listed(problems)}"
        )


def check_counts(counts: dict[str, int], partial: bool) -> None:
    if partial or counts == COUNTS:
        return
    expected = " and ".join(f"{count:,} {split}" for split, count in COUNTS.items())
    found = " and ".join(f"{count:,} {split}" for split, count in counts.items())
    raise SystemExit(
        f"There are {found} images where {expected} images belong: a source lacks files or has "
        "more. To convert what there is of it, add --partial."
    )


def check_dataset(out: Path, partial: bool) -> None:
    """Check the files of a data set that claims to be complete."""
    ids = {}
    for split, kinds in (("train", ("scribble", "mask")), ("val", ("mask",))):
        for kind in kinds:
            folder = LABEL_FOLDERS[kind]
            ids[split] = read_id_list(out / find_id_list(out, split, folder))
            images, labels = out / IMAGE_FOLDER, out / folder
            pairs = [(images / f"{name}.jpg", labels / f"{name}.png") for name in ids[split]]
            check_files(pairs, len(CLASSES), scribbles=kind == "scribble")
    check_counts({split: len(names) for split, names in ids.items()}, partial)


def missing_sources(args: argparse.Namespace) -> list[str]:
    """The message for each source that is missing."""
    messages = []
    for option, description in SOURCES.items():
        path = getattr(args, option)
        if path is None:
            state = "not named"
        elif not path.exists():
            state = f"{path} does not exist"
        elif not (path.is_file() or path.is_dir()):  # a pipe, which would never end
            state = f"{path} is neither a file nor a folder"
        else:
            continue
        messages.append(f"--{option}: {state}. Wanted are {description}.")
    return messages


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    out = args.out
    if out.exists():
        try:
            check_dataset(out, args.partial)
        except (DatasetNotFoundError, ValueError) as error:
            raise SystemExit(
                f"{out} is there but not complete. Remove it, or name another --out.\n{error}"
            ) from None
        say(f"{out} is complete: nothing to do.")
        return
    if missing := missing_sources(args):
        raise SystemExit("\n".join(["Data are missing.", *missing]))
    try:
        sources = Sources(args)
        ids = sources.ids(args.partial)
        if not all(ids.values()):
            raise SystemExit(
                "The sources have no image in common for training, or none to validate on: "
                f"{len(ids['train'])} and {len(ids['val'])}. Is each option the right one?"
            )
        check_counts({split: len(names) for split, names in ids.items()}, args.partial)
        with written_whole(out) as unfinished:
            write_dataset(sources, ids, unfinished)
            check_dataset(unfinished, args.partial)
    except (ValueError, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise SystemExit(str(error)) from None
    say(f"{out} holds {len(ids['train']):,} training and {len(ids['val']):,} validation images.")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--voc", type=Path, help="VOCtrainval_11-May-2012.tar or VOCdevkit")
    parser.add_argument("--masks", type=Path, help="SegmentationClassAug, or SBD's dataset/cls")
    parser.add_argument("--scribbles", type=Path, help="ScribbleSup's XML files, or PNGs of them")
    default = "(default: %(default)s)"
    parser.add_argument(
        "--out", type=output_folder, default=Path("data/pascal_scribble"), help=default
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="take the images that all sources have, however many, instead of all 12,031",
    )
    add_label_options(parser, "PNGs of the scribbles")
    return parser.parse_args(argv)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Terminated; nothing was kept."))
    main()
