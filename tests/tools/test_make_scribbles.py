"""tools/make_scribbles.py on masks of one's own."""

import os

import numpy as np
import pytest
from PIL import Image

from mmseg_rloss.datasets.label_png import read_label_png, write_label_png
from tools import make_scribbles

PALETTE = np.array([[1, 2, 3], [90, 80, 70]], dtype=np.uint8)


@pytest.fixture
def masks(tmp_path):
    """Three masks with a square of class 1 on background."""
    (tmp_path / "masks").mkdir()
    for i in range(3):
        mask = np.zeros((60, 80), dtype=np.uint8)
        mask[10:40, 10 + 5 * i : 50] = 1
        write_label_png(mask, tmp_path / "masks" / f"{i}.png", PALETTE)
    return tmp_path / "masks"


def make(masks, out="scribbles", *options) -> dict[str, np.ndarray]:
    make_scribbles.main([str(masks), "--out", str(masks.parent / out), *options])
    files = sorted((masks.parent / out).iterdir())
    return {file.name: read_label_png(file)[0] for file in files}


def test_every_mask_gets_scribbles_that_agree_with_it(masks, capsys):
    scribbles = make(masks)
    assert list(scribbles) == ["0.png", "1.png", "2.png"]
    for name, labels in scribbles.items():
        drawn = labels != 255
        assert np.array_equal(labels[drawn], read_label_png(masks / name)[0][drawn])
        assert set(np.unique(labels)) == {0, 1, 255}
    share = np.mean([labels != 255 for labels in scribbles.values()])
    assert 0.01 < share < 0.15
    assert f"{share:.2%} of the pixels of 3 masks" in " ".join(capsys.readouterr().out.split())


def test_points_are_far_fewer_pixels(masks):
    for labels in make(masks, "points", "--points").values():
        assert 2 <= np.count_nonzero(labels != 255) <= 18
        assert set(np.unique(labels)) == {0, 1, 255}


def test_scribbles_show_the_colours_of_the_masks(masks):
    make(masks)
    with Image.open(masks.parent / "scribbles" / "0.png") as image:
        assert (90, 80, 70) in {colour for _, colour in image.convert("RGB").getcolors()}


def test_are_the_same_each_time_and_others_with_another_seed(masks):
    first, again, other = make(masks), make(masks), make(masks, "other", "--seed", "1")
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)


def test_do_not_depend_on_the_other_masks(masks):
    first = make(masks)
    (masks / "0.png").unlink()
    assert np.array_equal(make(masks, "fewer")["1.png"], first["1.png"])


def test_never_writes_over_the_masks(masks):
    before = (masks / "0.png").read_bytes()
    with pytest.raises(SystemExit, match="folder of the masks"):
        make(masks, "masks")
    assert (masks / "0.png").read_bytes() == before


def test_names_what_is_not_a_mask(masks):
    Image.new("RGB", (8, 8)).save(masks / "1.png")
    with pytest.raises(SystemExit, match=r"1\.png is not a mask"):
        make(masks)


def test_an_empty_folder_is_reported(tmp_path):
    with pytest.raises(SystemExit, match="holds no mask"):
        make(tmp_path)


def test_what_is_not_a_mask_is_named_and_the_others_are_drawn(masks):
    Image.new("RGB", (8, 8)).save(masks / "1.png")
    (masks / "3.png").write_bytes((masks / "0.png").read_bytes()[:60])
    (masks / "4.png").symlink_to(masks / "nowhere")
    (masks / "._0.png").write_bytes(b"Mac OS X")
    os.mkfifo(masks / "5.png")
    with pytest.raises(SystemExit) as stop:
        make(masks)
    for name in ("1.png", "3.png", "4.png", "5.png"):
        assert f"{name} is not a mask" in str(stop.value)
    assert "4 files have no scribbles" in str(stop.value)
    assert sorted(path.name for path in (masks.parent / "scribbles").iterdir()) == [
        "0.png",
        "2.png",
    ]


def test_binary_masks_are_asked_about(masks, capsys):
    make(masks)
    assert "255" not in capsys.readouterr().out
    for path in masks.iterdir():
        labels = read_label_png(path)[0]
        Image.fromarray(labels * np.uint8(255)).save(path)
    make(masks)
    assert "hold 0 and 255 alone" in " ".join(capsys.readouterr().out.split())


def test_another_value_may_stand_for_unlabelled(masks):
    for path in masks.iterdir():
        Image.fromarray(read_label_png(path)[0] * np.uint8(4)).save(path)
    for labels in make(masks, "ignored", "--ignore-index", "4").values():
        assert np.unique(labels).tolist() == [0, 255]
    for labels in make(masks, "reduced", "--reduce-zero-label").values():
        assert np.unique(labels).tolist() == [3, 255]


@pytest.mark.parametrize("value", ["-1", "256", "four"])
def test_ignore_index_is_a_label(masks, value, capsys):
    with pytest.raises(SystemExit):
        make(masks, "scribbles", "--ignore-index", value)
    assert "argument --ignore-index: " in capsys.readouterr().err


def test_names_of_other_encodings_are_drawn(masks):
    odd = os.fsdecode(b"caf\xe9.png")
    (masks / "0.png").rename(masks / odd)
    assert odd in make(masks)


def test_what_cannot_be_written_is_named_and_the_others_are(masks):
    (masks.parent / "scribbles" / "0.png").mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"0\.png: its scribbles cannot be written"):
        make(masks)
    assert (masks.parent / "scribbles" / "1.png").is_file()


def test_suffixes_may_be_of_capitals(masks):
    (masks / "0.png").rename(masks / "0.PNG")
    assert "0.PNG" in make(masks)


CONFIG = """
plants = dict(
    type="ScribbleDataset", data_root={root!r}, metainfo=dict(classes=("ground", "leaf")))
train_dataloader = dict(dataset=dict(**plants, ann_file={ids!r}))
val_dataloader = dict(dataset=dict(**plants, ann_file="val.txt", labels="mask"))
"""


@pytest.mark.parametrize("ids", ["train.txt", ""])
def test_a_config_names_the_folders_and_the_images(masks, ids):
    root = masks.parent
    (masks / "sub").mkdir()
    (masks / "0.png").rename(masks / "sub" / "my 0.v1.png")
    (root / "images" / "sub").mkdir(parents=True)
    for name in ("sub/my 0.v1.tif", "1.png", "2.jpg"):
        Image.new("RGB", (80, 60)).save(root / "images" / name)
    (root / "train.txt").write_text("sub/my 0.v1\n1\n")
    (root / "val.txt").write_text("2\n")
    (root / "config.py").write_text(CONFIG.format(root=str(root), ids=ids))
    make_scribbles.main([str(root / "config.py")])
    written = {path.relative_to(root / "scribbles") for path in root.glob("scribbles/**/*.png")}
    assert set(map(str, written)) == {"sub/my 0.v1.png", "1.png"}


def test_a_folder_needs_a_place_for_its_scribbles(masks):
    with pytest.raises(SystemExit, match="--out must name the folder for the scribbles"):
        make_scribbles.main([str(masks)])
