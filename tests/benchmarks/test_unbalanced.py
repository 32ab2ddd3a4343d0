"""A balanced data set is made unbalanced, and stays one that can be trained on."""

import numpy as np

from benchmarks import unbalanced
from mmseg_rloss.datasets.label_png import write_label_png
from mmseg_rloss.datasets.pascal_scribble import PascalScribbleDataset

CLASSES = PascalScribbleDataset.METAINFO["classes"]
SHOWN = dict(a="cat", b="cow", c="cow sheep", d="dog cow", e="person", f="dog person", g="sheep")


def test_common_classes_stay_and_rare_ones_are_counted(tmp_path):
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
    for _ in range(2):  # a second run changes nothing
        unbalanced.main([str(tmp_path), "--rare", "1", "--out", str(out)])
        made = (out / "ImageSets/Segmentation/train_aug.txt").read_text().split()
        assert made == ["a", "b", "f", "g"]
    assert (out / "ImageSets/Segmentation/val.txt").read_text() == "h\n"
    assert (out / "SegmentationClassAug/g.png").read_bytes()
