"""tools/browse_scribbles.py on a data set whose counts are known."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_rloss.datasets.label_png import voc_palette, write_label_png
from tests.tools.network import write_image
from tools import browse_scribbles

SIZE = (20, 30)  # height, width


@pytest.fixture
def root(tmp_path) -> Path:
    """Two images with scribbles and masks, one with neither mark nor mask."""
    root = tmp_path / "set"
    for folder in ("SegmentationClassAug", "pascal_2012_scribble", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for name in ("a", "b", "c"):
        write_image(root / "JPEGImages" / f"{name}.jpg", SIZE)
        scribbles = np.full(SIZE, 255, dtype=np.uint8)
        mask = np.zeros(SIZE, dtype=np.uint8)
        mask[:, 10:20] = 12  # dog
        mask[:, 20:] = 255
        if name != "c":
            scribbles[2, :25] = 12  # 10 wrong, 10 right, 5 where the mask has no label
            write_label_png(mask, root / "SegmentationClassAug" / f"{name}.png")
        if name == "a":
            scribbles[4, :8] = 0
        write_label_png(scribbles, root / "pascal_2012_scribble" / f"{name}.png")
    (root / "ImageSets/Segmentation/train_aug.txt").write_text("a\nb\nc\n")
    return root


def browse(root, *options):
    browse_scribbles.main([str(root), "--out", str(root / "figures" / "sheet.png"), *options])


def statistics(capsys) -> dict[str, list[str]]:
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    names = ("background", "dog", "all classes", "without scribbles")
    return {
        name: line[len(name) :].split() for line in lines for name in names if line.startswith(name)
    }


def test_counts_images_pixels_shares_and_disagreement(root, capsys):
    browse(root)
    # 600 pixels an image, of which two have scribbles; c, without any, does not count.
    assert statistics(capsys) == {
        "background": ["1", "8", "0.67%", "0.00%"],
        "dog": ["2", "50", "4.17%", "50.00%"],
        "all classes": ["2", "58", "4.83%", "41.67%"],
        "without scribbles": ["1"],
    }


def test_the_sheet_shows_image_scribbles_and_mask(root, figures):
    browse(root, "--ids", "b", "c")
    titles = [axis.get_title() for axis in figures[0].axes[:3]]
    assert titles == ["image", "scribbles", "mask"]
    assert [axis.get_ylabel() for axis in figures[0].axes[::3]] == ["b", "c"]
    image, scribbles, mask = (axis.images[0].get_array() for axis in figures[0].axes[:3])
    assert np.array_equal(image, np.array(Image.open(root / "JPEGImages" / "b.jpg")))
    dog = voc_palette()[12]
    assert np.all(scribbles[2, :25] == dog) and not np.any(np.all(scribbles[5:] == dog, axis=-1))
    assert np.array_equal(mask[:, 20:], image[:, 20:])
    assert not figures[0].axes[5].images, "c has no mask"
    with Image.open(root / "figures" / "sheet.png") as file:
        assert file.width > 300


def test_the_sheet_shows_as_many_as_asked_for(root, figures):
    browse(root, "--count", "2")
    assert [axis.get_ylabel() for axis in figures[0].axes[::3]] == ["a", "c"]


def test_predictions_stand_before_the_mask_in_their_own_colours(root, figures):
    (root / "masks").mkdir()
    palette = np.array([[0, 0, 0], [10, 200, 30]], dtype=np.uint8)
    write_label_png(np.ones(SIZE, dtype=np.uint8), root / "masks" / "a.png", palette)
    browse(root, "--ids", "a", "--predictions", f"my network={root / 'masks'}")
    assert [axis.get_title() for axis in figures[0].axes][2:] == ["my network", "mask"]
    shown = figures[0].axes[2].images[0].get_array().astype(int)
    assert np.all(shown[..., 1] - shown[..., 0] == pytest.approx(0.65 * 190, abs=1))


def test_names_of_ones_own(root, capsys, figures):
    browse(root, "--classes", *"abcdefghijkl", "hound")
    assert "hound" in capsys.readouterr().out
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["a", "hound"]


OWN = """
plants = dict(
    type="ScribbleDataset", data_root={root!r},
    metainfo=dict(classes=("ground", "leaf"), palette=[[0, 0, 0], [40, 160, 60]]))
train_dataloader = dict(dataset=dict(**plants, ann_file="train.txt"))
val_dataloader = dict(dataset=dict(**plants, labels="mask"))
"""


@pytest.fixture
def config(tmp_path) -> Path:
    """Of a data set with classes of its own and one image in each suffix."""
    root = tmp_path / "plants"
    leaf = np.full(SIZE, 255, dtype=np.uint8)
    leaf[3] = 1
    for name, suffix, palette in (
        ("my plant", "png", [[1, 1, 1], [9, 9, 9]]),
        ("b.2", "tif", None),
    ):
        write_image(root / "images" / f"{name}.{suffix}", SIZE)
        for folder in ("scribbles", "masks"):
            (root / folder).mkdir(exist_ok=True)
            colours = palette and np.array(palette, dtype=np.uint8)
            write_label_png(leaf, root / folder / f"{name}.png", colours)
    (root / "train.txt").write_text("my plant\nb.2\nabsent\n")
    (tmp_path / "config.py").write_text(OWN.format(root=str(root)))
    return tmp_path / "config.py"


def test_folders_classes_and_colours_are_the_configs(config, capsys, figures):
    out = config.parent / "sheet.png"
    with pytest.raises(SystemExit, match=r"1 images are left out: .*images/absent\.jpg: missing"):
        browse_scribbles.main([str(config), "--out", str(out)])
    assert [axis.get_ylabel() for axis in figures[0].axes[::3]] == ["my plant", "b.2"]
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["leaf"]
    for axis in figures[0].axes[1::3]:
        assert np.all(axis.images[0].get_array()[3] == [40, 160, 60])
    assert "leaf 2 60 5.00% 0.00%" in " ".join(capsys.readouterr().out.split())


def test_the_legend_names_what_predictions_and_masks_show(root, figures):
    (root / "masks").mkdir()
    write_label_png(np.full(SIZE, 3, dtype=np.uint8), root / "masks" / "a.png")
    browse(root, "--ids", "a", "--predictions", f"net={root / 'masks'}")
    names = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert names == ["background", "bird", "dog"]


def test_a_class_has_one_colour_in_a_sheet(root, figures):
    own = np.zeros((13, 3), dtype=np.uint8)
    own[12] = 1, 250, 3
    labels = np.full(SIZE, 12, dtype=np.uint8)
    write_label_png(labels, root / "pascal_2012_scribble" / "a.png", own)
    browse(root, "--ids", "b", "a")
    dog = voc_palette()[12]
    for axis in (figures[0].axes[1], figures[0].axes[4]):
        assert np.all(axis.images[0].get_array()[2, :25] == dog)
    patches = figures[0].legends[0].get_patches()
    assert [round(255 * value) for value in patches[-1].get_facecolor()[:3]] == dog.tolist()


def test_label_maps_that_count_the_classes_differently_are_reported(root, capsys, figures):
    (root / "masks").mkdir()
    palette = voc_palette()[[0, 12]]  # a network's, of the background and dogs
    write_label_png(np.ones(SIZE, dtype=np.uint8), root / "masks" / "a.png", palette)
    browse(root, "--ids", "a", "b")
    assert "mean? In the sheet" not in " ".join(capsys.readouterr().out.split())
    browse(root, "--ids", "a", "--predictions", f"net={root / 'masks'}")
    told = " ".join(capsys.readouterr().out.split())
    assert "label 1 has in one label map the colour that label 12 has in another" in told
    assert "name the network's config" in told


@pytest.mark.parametrize("file", ["JPEGImages/b.jpg", "SegmentationClassAug/a.png", "net/c.png"])
def test_the_sheet_is_not_written_over_what_it_shows(root, file):
    (root / "net").mkdir()
    (root / file).touch()
    before = (root / file).read_bytes()
    with pytest.raises(SystemExit, match=f"--out would write the sheet over {root / file}"):
        browse(root, "--out", str(root / file), "--predictions", f"net={root / 'net'}")
    assert (root / file).read_bytes() == before


@pytest.mark.parametrize(
    "options, message",
    [
        (["--ids", "x", "a"], "train split has no x"),
        (["--split", "val"], "lacks ImageSets"),
    ],
)
def test_names_what_is_not_there(root, options, message):
    with pytest.raises(SystemExit, match=message):
        browse(root, *options)


@pytest.mark.parametrize("value", ["folder", "title=nowhere"])
def test_predictions_need_a_title_and_a_folder(root, capsys, value):
    with pytest.raises(SystemExit):
        browse(root, "--predictions", value)
    assert "argument --predictions" in capsys.readouterr().err


def damage(root: Path, kind: str) -> None:
    """Make a file of image b unusable."""
    scribbles, mask = (root / f / "b.png" for f in ("pascal_2012_scribble", "SegmentationClassAug"))
    if kind == "a scribble of another size":
        write_label_png(np.zeros((20, 31), dtype=np.uint8), scribbles)
    elif kind == "a mask of another size":
        write_label_png(np.zeros((21, 30), dtype=np.uint8), mask)
    elif kind == "colours":
        Image.new("RGB", SIZE[::-1]).save(scribbles)
    elif kind == "no picture":
        mask.write_bytes(b"no picture")
    elif kind == "a pipe":
        scribbles.unlink()
        os.mkfifo(scribbles)
    elif kind == "half an image":
        image = root / "JPEGImages" / "b.jpg"
        image.write_bytes(image.read_bytes()[:-50])
    else:
        (root / "JPEGImages" / "b.jpg").unlink()


@pytest.mark.parametrize(
    "kind, file",
    [
        ("a scribble of another size", r"pascal_2012_scribble/b\.png: \(20, 31\)"),
        ("a mask of another size", r"SegmentationClassAug/b\.png: \(21, 30\)"),
        ("colours", r"pascal_2012_scribble/b\.png: RGB"),
        ("no picture", r"SegmentationClassAug/b\.png: unreadable"),
        ("a pipe", r"pascal_2012_scribble/b\.png: not a file"),
        ("half an image", r"b\.jpg: truncated"),
        ("no image", r"b\.jpg: missing"),
    ],
)
def test_what_is_wrong_is_named_and_the_others_are_shown(root, figures, capsys, kind, file):
    damage(root, kind)
    with pytest.raises(SystemExit, match=f"1 images are left out: .*{file}"):
        browse(root)
    assert [axis.get_ylabel() for axis in figures[0].axes[::3]] == ["a", "c"]
    assert statistics(capsys)["dog"][:2] == ["1", "25"]


def test_a_prediction_that_lacks_is_named(root, figures):
    (root / "masks").mkdir()
    write_label_png(np.ones(SIZE, dtype=np.uint8), root / "masks" / "a.png")
    with pytest.raises(SystemExit, match=r"2 images are left out: .*masks/b\.png: missing"):
        browse(root, "--predictions", f"net={root / 'masks'}")
    assert figures[0].axes[0].get_ylabel() == "a"


def test_reads_rlosss_list_with_a_byte_order_mark(root, capsys):
    text = "".join(f"JPEGImages/{i}.jpg pascal_2012_scribble/{i}.png\r\n" for i in "abc")
    list_file = root / "ImageSets/Segmentation/train_aug.txt"
    list_file.write_text(text, encoding="utf-8-sig")
    browse(root)
    assert "of 3 images" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--reduce-zero-label"], ["--ignore-index", "0"]])
def test_another_value_may_stand_for_unlabelled(root, capsys, options):
    for path in (root / "pascal_2012_scribble").iterdir():
        labels = np.asarray(Image.open(path))
        write_label_png(np.where(labels == 12, 13, 0).astype(np.uint8), path)
    browse(root)
    assert "No pixel is unlabelled (255)" in " ".join(capsys.readouterr().out.split())
    browse(root, *options)
    output = " ".join(capsys.readouterr().out.split())
    assert "No pixel is unlabelled" not in output
    assert ("dog 2 50" if "--reduce-zero-label" in options else "horse 2 50") in output


def test_another_value_may_stand_for_unlabelled_in_the_masks(root, capsys):
    for path in (root / "SegmentationClassAug").iterdir():
        labels = np.asarray(Image.open(path)) + np.uint8(1)  # 255 becomes 0
        write_label_png(labels, path)
    browse(root, "--mask-reduce-zero-label")
    assert statistics(capsys)["all classes"][-1] == "41.67%"
    for path in (root / "SegmentationClassAug").iterdir():
        labels = np.asarray(Image.open(path)) - np.uint8(1)
        write_label_png(np.where(labels == 255, 99, labels).astype(np.uint8), path)
    browse(root, "--mask-ignore-index", "99")
    assert statistics(capsys)["all classes"][-1] == "41.67%"
