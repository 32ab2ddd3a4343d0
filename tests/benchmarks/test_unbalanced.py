"""A balanced data set is made unbalanced, and stays one that can be trained on."""

import runpy
from pathlib import Path

import numpy as np

from mmseg_rloss.datasets.label_png import write_label_png
from mmseg_rloss.datasets.pascal_scribble import PascalScribbleDataset

ROOT = Path(__file__).resolve().parents[2]
CLASSES = PascalScribbleDataset.METAINFO["classes"]
SHOWN = dict(a="cat", b="cow", c="cow sheep", d="dog cow", e="person", f="dog person", g="sheep")


def test_common_classes_stay_and_rare_ones_are_counted(tmp_path, monkeypatch):
    for folder in ("JPEGImages", "SegmentationClassAug", "pascal_2012_scribble"):
        (tmp_path / folder).mkdir()
    lists = tmp_path / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train_aug.txt").write_text("\n".join(SHOWN))
    (lists / "val.txt").write_text("h\n")
    for name, classes in SHOWN.items():
        labels = np.array([[CLASSES.index(shown) for shown in classes.split()]], dtype=np.uint8)
        write_label_png(labels, tmp_path / f"SegmentationClassAug/{name}.png")
    out = tmp_path / "out"
    arguments = ["unbalanced.py", str(tmp_path), "--rare", "1", "--out", str(out)]
    monkeypatch.setattr("sys.argv", arguments)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for _ in range(2):  # a second run changes nothing
        runpy.run_path(str(ROOT / "benchmarks/unbalanced.py"), run_name="__main__")
        made = (out / "ImageSets/Segmentation/train_aug.txt").read_text().split()
        assert made == ["a", "b", "f", "g"]
    assert (out / "ImageSets/Segmentation/val.txt").read_text() == "h\n"
    assert (out / "SegmentationClassAug/g.png").read_bytes()
