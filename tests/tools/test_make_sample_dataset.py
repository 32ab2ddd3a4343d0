"""The sample data set: what it holds, that it stays the same, and that a second run is safe."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_rloss.datasets import PascalScribbleDataset
from tools import make_sample_dataset

TOOL = Path(make_sample_dataset.__file__)
LABELS = {4, 5, 10, 16, 17, 20}  # boat, bottle, cow, pottedplant, sheep, tvmonitor in VOC


def make(out: Path, *options: str) -> None:
    make_sample_dataset.main(["--out", str(out), "--train", "12", "--val", "4", *options])


def read(root: Path, folder: str) -> dict[str, np.ndarray]:
    return {path.stem: np.array(Image.open(path)) for path in sorted((root / folder).iterdir())}


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("data") / "sample"
    make(out)
    return out


def test_is_a_scribble_data_set_with_a_training_and_a_validation_split(sample):
    assert len(PascalScribbleDataset(sample, split="train", labels="scribble")) == 12
    assert len(PascalScribbleDataset(sample, split="val", labels="mask")) == 4


def test_images_have_the_size_asked_for(tmp_path):
    make(tmp_path / "sample", "--size", "64", "48")
    for image in read(tmp_path / "sample", "JPEGImages").values():
        assert image.shape == (48, 64, 3)


def test_masks_hold_objects_of_several_classes_on_background(sample):
    masks = read(sample, "SegmentationClassAug")
    assert set(np.unique(list(masks.values()))) == LABELS | {0}
    assert 0.1 < np.mean([mask != 0 for mask in masks.values()]) < 0.5


def test_scribbles_agree_with_the_masks_and_cover_about_three_percent(sample):
    masks = read(sample, "SegmentationClassAug")
    scribbles = read(sample, "pascal_2012_scribble")
    for name, scribble in scribbles.items():
        drawn = scribble != 255
        assert np.array_equal(scribble[drawn], masks[name][drawn])
        labels, areas = np.unique(masks[name], return_counts=True)
        assert set(labels[areas > 200]) <= set(scribble[drawn]), "an object without a scribble"
    assert np.mean([scribble != 255 for scribble in scribbles.values()]) == pytest.approx(
        0.03, abs=0.006
    )


def test_scribbles_keep_away_from_the_boundaries(sample):
    masks = read(sample, "SegmentationClassAug")
    for name, scribble in read(sample, "pascal_2012_scribble").items():
        mask = masks[name].astype(int)
        beside_boundary = np.zeros(mask.shape, dtype=bool)
        for axis in (0, 1):
            step = np.diff(mask, axis=axis) != 0
            beside_boundary |= np.pad(step, [(0, int(i == axis)) for i in (0, 1)])
            beside_boundary |= np.pad(step, [(int(i == axis), 0) for i in (0, 1)])
        assert not np.any((scribble != 255) & beside_boundary)


def test_is_the_same_each_time_and_another_with_another_seed(sample, tmp_path):
    make(tmp_path / "again")
    make(tmp_path / "other", "--seed", "1")
    assert digests(tmp_path / "again") == digests(sample)
    image = "JPEGImages/train_0000.jpg"
    assert digests(tmp_path / "other")[image] != digests(sample)[image]


def test_a_scene_does_not_depend_on_how_many_others_there_are(sample, tmp_path):
    make(tmp_path / "larger", "--train", "14")
    larger = digests(tmp_path / "larger")
    scenes = {name: digest for name, digest in digests(sample).items() if "_00" in name}
    assert len(scenes) == 3 * (12 + 4)
    assert scenes.items() <= larger.items()


def test_a_second_call_says_that_it_is_complete_and_leaves_it_alone(sample, capsys):
    before = {path: path.stat().st_mtime_ns for path in sample.rglob("*")}
    make(sample)
    assert "complete" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in sample.rglob("*")} == before


def test_a_set_with_a_file_gone_is_not_complete(tmp_path):
    make(tmp_path / "sample")
    (tmp_path / "sample/pascal_2012_scribble/train_0003.png").unlink()
    with pytest.raises(SystemExit, match="not the complete sample"):
        make(tmp_path / "sample")


def test_a_set_drawn_by_an_earlier_version_is_not_complete(tmp_path, monkeypatch):
    monkeypatch.setattr(make_sample_dataset, "DRAWING", make_sample_dataset.DRAWING - 1)
    make(tmp_path / "sample")
    monkeypatch.undo()
    with pytest.raises(SystemExit, match="not the complete sample"):
        make(tmp_path / "sample")


def test_never_touches_a_folder_that_holds_something_else(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SystemExit, match="--out"):
        make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_interrupted_run_leaves_nothing_that_looks_complete(tmp_path):
    out = tmp_path / "sample"
    run = subprocess.Popen(
        [sys.executable, str(TOOL), "--out", str(out), "--train", "100000"],
        stdout=subprocess.DEVNULL,
    )
    while not list(tmp_path.glob("*/pascal_2012_scribble/*.png")):
        assert run.poll() is None, "the tool ended before it drew anything"
        time.sleep(0.05)
    run.kill()
    run.wait()
    assert not out.exists()

    make(out)
    assert len(PascalScribbleDataset(out)) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


@pytest.mark.parametrize("option", [["--train", "0"], ["--size", "8", "200"], ["--seed", "-1"]])
def test_rejects_numbers_that_make_no_data_set(tmp_path, option, capsys):
    with pytest.raises(SystemExit):
        make(tmp_path / "sample", *option)
    assert f"argument {option[0]}: must be" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", '{"train": 1', "[]"])
def test_a_manifest_that_broke_off_is_not_complete(tmp_path, text):
    make(tmp_path / "sample")
    (tmp_path / "sample" / "sample.json").write_text(text)
    with pytest.raises(SystemExit, match="not the complete sample"):
        make(tmp_path / "sample")
