"""Mutated files of every kind through every tool that reads files: `make fuzz-files`.

The environment variable EXAMPLES sets how many of them, 5000 by default.

A tool may end well or by a SystemExit that names files; anything else is a fault, of which
Hypothesis prints the smallest example.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from PIL import Image
from scipy.io import savemat

from mmseg_rloss.datasets import DatasetFilesError, PascalScribbleDataset
from mmseg_rloss.datasets.label_png import write_label_png
from mmseg_rloss.datasets.transforms.pipeline_check import untracked_padding
from tests.tools.dataset_converters import exports
from tests.tools.network import write_image, write_network
from tools import (
    browse_scribbles,
    make_sample_dataset,
    make_scribbles,
    mmseg_tool,
    predict,
    visualize_densecrf,
)
from tools.dataset_converters import pascal_scribble, scribbles

EXAMPLES = int(os.environ.get("EXAMPLES", 5000))
SIZE = (24, 32)  # height, width
XML = b"""<?xml version="1.0"?><annotation><size><width>32</width><height>24</height></size>
<polygon><tag>cow</tag><point><X>4</X><Y>5</Y></point><point><X>20</X><Y>5</Y></point></polygon>
</annotation>"""

Tool = Callable[[Path], None]


@pytest.fixture(scope="module")
def seed_folder(tmp_path_factory) -> Path:
    """A small data set with its sources, a network and score maps: every kind of file."""
    init_default_scope("mmseg")
    root = tmp_path_factory.mktemp("seed")
    labels = np.full(SIZE, 255, dtype=np.uint8)
    labels[3:6] = 1
    lists = ("set/ImageSets/Segmentation", "VOC2012/ImageSets/Segmentation")
    for folder in (*lists, "set/SegmentationClassAug", "set/pascal_2012_scribble", "cls", "xml"):
        (root / folder).mkdir(parents=True)
    for name in ("a", "b"):
        write_image(root / f"set/JPEGImages/{name}.jpg", SIZE)
        for folder in ("set/SegmentationClassAug", "set/pascal_2012_scribble"):
            write_label_png(labels, root / folder / f"{name}.png")
        savemat(root / f"cls/{name}.mat", {"GTcls": {"Segmentation": labels}})
        (root / f"xml/{name}.xml").write_bytes(XML)
        np.save(root / f"set/JPEGImages/{name}.npy", np.zeros((3, *SIZE), np.float32))
        for suffix in ("png", "tif", "webp", "bmp"):
            (root / suffix).mkdir(exist_ok=True)
            with Image.open(root / f"set/JPEGImages/{name}.jpg") as image:
                image.save(root / suffix / f"{name}.{suffix}")
    (root / "set/ImageSets/Segmentation/train_aug.txt").write_text("a\nb\n")
    (root / "VOC2012/ImageSets/Segmentation/train.txt").write_text("a\n")
    (root / "VOC2012/ImageSets/Segmentation/val.txt").write_text("b\n")
    shutil.copytree(root / "set/JPEGImages", root / "VOC2012/JPEGImages")
    with tarfile.open(root / "voc.tgz", "w:gz") as tar:
        tar.add(root / "VOC2012", "VOC2012")
    with tarfile.open(root / "cls.tar", "w") as tar:
        tar.add(root / "cls", "cls")
    write_network(root)
    (root / "last_checkpoint").write_text(str(root / "network.pth"))
    make_sample_dataset.main([*SAMPLE, "--out", str(root / "sample")])
    write_exports(root / "exports")
    return root


def write_exports(root: Path) -> None:
    """One of each annotation tool, for the same image."""
    write_image(root / f"images/{exports.ID}.jpg", exports.SIZE)
    shapes = [
        exports.shape("ground", "linestrip", exports.LINE),
        exports.shape("leaf", "polygon", exports.AREA),
        exports.shape("ground", "mask", [[3, 14], [7, 17]], mask=exports.holed_png()),
    ]
    texts = {
        "labelme.json": json.dumps(exports.labelme(*shapes)),
        "cvat.xml": exports.CVAT.format(
            rle=", ".join(map(str, exports.runs(exports.HOLED, "C"))), name=f"{exports.ID}.jpg"
        ),
        "coco.json": json.dumps(exports.coco(exports.packed([14, 3, 583]))),
        "studio.json": json.dumps(exports.label_studio()),
        "palette.txt": "\n".join(f"{k} {r} {g} {b}" for k, (r, g, b) in exports.COLOURS.items()),
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    for folder, pixels in {
        "colours": exports.in_colours(exports.ALL, (0, 0, 0, 0)),
        "index": exports.ALL,
    }.items():
        (root / folder).mkdir()
        Image.fromarray(pixels).save(root / folder / f"{exports.ID}.png")
    volume = nibabel.Nifti1Image(exports.ALL[None].T, np.eye(4))
    for folder, suffix in {"volumes": "", "drawn": "_scribble"}.items():
        (root / folder).mkdir()
        nibabel.save(volume, root / folder / f"p{suffix}.nii")
    (root / "h5").mkdir()
    with h5py.File(root / "h5/p.h5", "w") as file:
        file["image"], file["scribble"] = exports.ALL / 255, exports.ALL


def convert_export(kind: str, export: str, *options: str, images: str = "images") -> Tool:
    def run(root: Path) -> None:
        root = root / "exports"
        files = ["--images", str(root / images), "--out", str(root.parent / "out")]
        chosen = [str(root / option) if option == "palette.txt" else option for option in options]
        scribbles.main([kind, str(root / export), *files, *chosen])

    return run


named = ["--classes", *exports.CLASSES]


def convert_volume(export: str, images: str) -> Tool:
    return convert_export("volume", export, *named, images=images)


SAMPLE = ["--train", "1", "--val", "1", "--size", "32", "32"]


def convert_from(voc: str, masks: str) -> Tool:
    def run(root: Path) -> None:
        sources = ["--voc", str(root / voc), "--masks", str(root / masks)]
        sources += ["--scribbles", str(root / "xml"), "--partial"]
        pascal_scribble.main([*sources, "--out", str(root / "out")])

    return run


convert = convert_from("VOC2012", "cls")


def train_on_own(root: Path) -> None:
    loading = ("LoadImageFromFile", "LoadAnnotations", "LoadRegionOfInterest", "PackScribbleInputs")
    folders = dict(img_path="JPEGImages", seg_map_path="pascal_2012_scribble")
    try:
        untracked_padding(
            BaseSegDataset(
                data_root=str(root / "set"),
                data_prefix=folders,
                metainfo=dict(classes=("a", "b", "c")),
                pipeline=[dict(type=name) for name in loading],
            )
        )
    except DatasetFilesError as error:
        raise SystemExit(str(error)) from None


def resume(root: Path) -> None:
    mmseg_tool.look_for_checkpoint(root)


def check_network(root: Path) -> None:
    config = Config.fromfile(root / "network.py")
    mmseg_tool.look_at_checkpoint(config, str(root / "network.pth"))


def sample(root: Path) -> None:
    make_sample_dataset.main([*SAMPLE, "--out", str(root / "sample")])


def browse(root: Path) -> None:
    browse_scribbles.main([str(root / "set"), "--out", str(root / "sheet.png")])


def make(root: Path) -> None:
    make_scribbles.main([str(root / "set/SegmentationClassAug"), "--out", str(root / "out")])


def look(root: Path) -> None:
    try:
        PascalScribbleDataset(root / "set", pipeline=[])
    except DatasetFilesError as error:
        raise SystemExit(str(error)) from None


def visualize(root: Path) -> None:
    images = root / "set/JPEGImages"
    files = [str(images / "a.jpg"), str(images / "b.jpg")]
    options = ["--scores", str(images), "--labels", str(root / "set/SegmentationClassAug")]
    visualize_densecrf.main([*files, *options, "--out", str(root / "out")])


def predict_in(folder: str) -> Tool:
    def run(root: Path) -> None:
        network = [str(root / "network.py"), str(root / "network.pth")]
        predict.main([*network, str(root / folder), "--out", str(root / "out")])

    return run


# What is mutated, through which tool, and how often among so many.
CASES: list[tuple[str, Tool, int]] = [
    ("xml/a.xml", convert, 900),
    ("cls/a.mat", convert, 500),
    ("VOC2012/JPEGImages/a.jpg", convert, 200),
    ("VOC2012/ImageSets/Segmentation/train.txt", convert, 100),
    ("voc.tgz", convert_from("voc.tgz", "cls"), 200),
    ("cls.tar", convert_from("VOC2012", "cls.tar"), 200),
    ("set/SegmentationClassAug/a.png", make, 900),
    ("set/pascal_2012_scribble/a.png", look, 500),
    ("set/pascal_2012_scribble/a.png", train_on_own, 200),
    ("set/JPEGImages/a.jpg", look, 200),
    ("set/ImageSets/Segmentation/train_aug.txt", look, 150),
    ("set/pascal_2012_scribble/a.png", browse, 30),
    ("set/JPEGImages/a.jpg", browse, 30),
    ("set/ImageSets/Segmentation/train_aug.txt", browse, 30),
    ("set/JPEGImages/a.npy", visualize, 30),
    ("set/SegmentationClassAug/a.png", visualize, 30),
    *((f"{kind}/a.{kind}", predict_in(kind), 150) for kind in ("png", "tif", "webp", "bmp")),
    ("set/JPEGImages/a.jpg", predict_in("set/JPEGImages"), 100),
    ("network.pth", predict_in("png"), 100),
    ("network.pth", check_network, 50),
    ("last_checkpoint", resume, 100),
    ("sample/sample.json", sample, 100),
    ("exports/labelme.json", convert_export("labelme", "labelme.json"), 250),
    ("exports/cvat.xml", convert_export("cvat", "cvat.xml"), 250),
    ("exports/coco.json", convert_export("coco", "coco.json"), 250),
    ("exports/studio.json", convert_export("label-studio", "studio.json"), 250),
    ("exports/palette.txt", convert_export("colours", "colours", "--palette", "palette.txt"), 100),
    (f"exports/index/{exports.ID}.png", convert_export("index", "index", *named), 100),
    (
        "exports/drawn/p_scribble.nii",
        convert_export("volume", "drawn", *named, images="volumes"),
        100,
    ),
    ("exports/h5/p.h5", convert_export("volume", "h5", *named, images="h5"), 100),
]

mutations = st.one_of(
    st.builds(lambda at, new: ("overwrite", at, new), st.floats(0, 1), st.binary(max_size=8)),
    st.builds(lambda at, new: ("insert", at, new), st.floats(0, 1), st.binary(max_size=8)),
    st.builds(lambda at, length: ("drop", at, length), st.floats(0, 1), st.integers(1, 40)),
    st.builds(lambda at: ("cut", at, None), st.floats(0, 1)),
)


def mutate(data: bytes, steps: list) -> bytes:
    for kind, share, argument in steps:
        at = int(share * len(data))
        if kind == "overwrite":
            data = data[:at] + argument + data[at + len(argument) :]
        elif kind == "insert":
            data = data[:at] + argument + data[at:]
        elif kind == "drop":
            data = data[:at] + data[at + argument :]
        else:
            data = data[:at]
    return data


@pytest.mark.parametrize("file, tool, share", CASES)
def test_no_file_ends_a_tool_in_a_traceback(seed_folder, tmp_path, file, tool, share):
    examples = max(1, EXAMPLES * share // sum(share for *_, share in CASES))
    root = tmp_path / "root"
    shutil.copytree(seed_folder, root)
    tool(root)  # The seed is whole.
    whole = (root / file).read_bytes()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(mutations, min_size=1, max_size=4))
    def run(steps):
        (root / file).write_bytes(mutate(whole, steps))
        shutil.rmtree(root / "out", ignore_errors=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                tool(root)
            except SystemExit as stop:
                assert stop.code, "a tool that stops says why"

    run()
