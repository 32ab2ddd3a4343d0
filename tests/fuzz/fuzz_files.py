"""Mutated files of every kind through every tool that reads files: `make fuzz-files`.

A tool may end well or by a SystemExit that names files; anything else is a fault, of which
Hypothesis prints the smallest example.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmengine.registry import init_default_scope
from PIL import Image
from scipy.io import savemat

from mmseg_rloss.datasets import DatasetFilesError, PascalScribbleDataset
from mmseg_rloss.datasets.label_png import write_label_png
from tests.tools.network import write_network, write_photo
from tools import browse_scribbles, make_scribbles, predict, visualize_densecrf
from tools.dataset_converters import pascal_scribble

EXAMPLES = 5000
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
        write_photo(root / f"set/JPEGImages/{name}.jpg", SIZE)
        for folder in ("set/SegmentationClassAug", "set/pascal_2012_scribble"):
            write_label_png(labels, root / folder / f"{name}.png")
        savemat(root / f"cls/{name}.mat", {"GTcls": {"Segmentation": labels}})
        (root / f"xml/{name}.xml").write_bytes(XML)
        np.save(root / f"set/JPEGImages/{name}.npy", np.zeros((3, *SIZE), np.float32))
        for suffix in ("png", "tif", "webp", "bmp"):
            (root / suffix).mkdir(exist_ok=True)
            with Image.open(root / f"set/JPEGImages/{name}.jpg") as photo:
                photo.save(root / suffix / f"{name}.{suffix}")
    (root / "set/ImageSets/Segmentation/train_aug.txt").write_text("a\nb\n")
    (root / "VOC2012/ImageSets/Segmentation/train.txt").write_text("a\n")
    (root / "VOC2012/ImageSets/Segmentation/val.txt").write_text("b\n")
    shutil.copytree(root / "set/JPEGImages", root / "VOC2012/JPEGImages")
    write_network(root)
    return root


def convert(root: Path) -> None:
    sources = ["--voc", str(root / "VOC2012"), "--masks", str(root / "cls")]
    sources += ["--scribbles", str(root / "xml"), "--partial"]
    pascal_scribble.main([*sources, "--out", str(root / "out")])


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
    photos = root / "set/JPEGImages"
    files = [str(photos / "a.jpg"), str(photos / "b.jpg")]
    visualize_densecrf.main([*files, "--scores", str(photos), "--out", str(root / "out")])


def predict_in(folder: str) -> Tool:
    def run(root: Path) -> None:
        network = [str(root / "network.py"), str(root / "network.pth")]
        predict.main([*network, str(root / folder), "--out", str(root / "out")])

    return run


# What is mutated, through which tool, and how often among so many.
CASES: list[tuple[str, Tool, int]] = [
    ("xml/a.xml", convert, 900),
    ("cls/a.mat", convert, 500),
    ("VOC2012/JPEGImages/a.jpg", convert, 300),
    ("VOC2012/ImageSets/Segmentation/train.txt", convert, 100),
    ("set/SegmentationClassAug/a.png", make, 900),
    ("set/pascal_2012_scribble/a.png", look, 800),
    ("set/JPEGImages/a.jpg", look, 300),
    ("set/ImageSets/Segmentation/train_aug.txt", look, 200),
    ("set/pascal_2012_scribble/a.png", browse, 50),
    ("set/JPEGImages/a.npy", visualize, 50),
    *((f"{kind}/a.{kind}", predict_in(kind), 200) for kind in ("png", "tif", "webp", "bmp")),
    ("network.pth", predict_in("png"), 100),
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
