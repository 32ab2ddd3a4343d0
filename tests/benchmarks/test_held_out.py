"""A part of the training images is held out, the same one every time."""

from pathlib import Path

import pytest

from benchmarks import held_out

LISTS = Path("ImageSets/Segmentation")


def hold_out(source, out, part):
    held_out.main([str(source), "--out", str(out), "--part", part])


def ids_of(root, name):
    return set((root / LISTS / f"{name}.txt").read_text().splitlines())


def data_set(root, images):
    for folder in ("JPEGImages", "SegmentationClassAug", "pascal_2012_scribble", LISTS):
        (root / folder).mkdir(parents=True)
    ids = [f"image {index}" for index in range(images)]
    (root / LISTS / "train_aug.txt").write_text("\n".join(ids))
    (root / LISTS / "val.txt").write_text("elsewhere\n")
    (root / "JPEGImages/image 1.jpg").write_bytes(b"image")
    return set(ids)


def test_parts_are_disjoint_and_what_remains_is_trained_on(tmp_path):
    ids = data_set(tmp_path / "all", 250)
    seen = set()
    for part in "001":  # the first twice
        out = tmp_path / part
        hold_out(tmp_path / "all", out, part)
        train, val = ids_of(out, "train_aug"), ids_of(out, "val")
        assert len(val) == 100 and not train & val and train | val == ids
        assert (out / "JPEGImages/image 1.jpg").read_bytes() == b"image"
        seen |= val
    assert len(seen) == 200


def test_a_part_that_is_not_there_is_told(tmp_path, capsys):
    data_set(tmp_path / "all", 250)
    for part in ("2", "-1"):
        with pytest.raises(SystemExit, match="2"):
            hold_out(tmp_path / "all", tmp_path / "out", part)
        told = capsys.readouterr().err
        assert f"--part {part}: with 250 training images there are parts 0 to 1" in told
    assert not (tmp_path / "out").exists()
