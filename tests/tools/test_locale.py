"""The tools where the locale knows nothing but ASCII."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmseg_rloss.datasets.label_png import write_label_png
from tests.children import interpreter_of_tools, script_of
from tests.tools.network import write_image

ROOT = Path(__file__).parents[2]
ASCII = dict(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")


def run(tool: str, *arguments: str | Path) -> str:
    process = subprocess.run(
        [sys.executable, ROOT / "tools" / tool, *arguments],
        env={**os.environ, **ASCII},
        capture_output=True,
    )
    assert process.returncode == 0, process.stderr.decode()
    return process.stdout.decode()


@pytest.fixture
def root(tmp_path) -> Path:
    """An image of a name that is not ASCII, and its mask and list."""
    root = tmp_path / "Müller"
    for folder in ("SegmentationClassAug", "pascal_2012_scribble", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    write_image(root / "JPEGImages" / "Grün.jpg", (40, 60))
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[:, 20:] = 12
    write_label_png(mask, root / "SegmentationClassAug" / "Grün.png")
    (root / "ImageSets/Segmentation/train_aug.txt").write_text("Grün\n", encoding="utf-8")
    return root


def test_names_beyond_ascii_are_drawn_and_shown(root):
    scribbles = root / "pascal_2012_scribble"
    run("make_scribbles.py", root / "SegmentationClassAug", "--out", scribbles)
    assert [path.name for path in scribbles.iterdir()] == ["Grün.png"]
    assert "shows 1 of 1 images" in run("browse_scribbles.py", root, "--out", root / "sheet.png")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_folders_of_another_encoding_are_said(root, encoding):
    """Where the terminal's encoding is strict, as in most locales but C."""
    out = os.fsdecode(os.fsencode(root) + b"/caf\xe9")
    terminal = f"import sys; sys.stdout.reconfigure(encoding={encoding!r}, errors='strict')\n"
    masks = root / "SegmentationClassAug"
    tool = script_of(ROOT / "tools" / "make_scribbles.py", masks, "--out", out)
    process = interpreter_of_tools().run(terminal + tool)
    assert process.returncode == 0, process.stderr
    assert r"caf\udce9 holds scribbles" in process.stdout
