"""ScribbleDataset on folders as their owners name them: odd ids, suffixes and layouts."""

from pathlib import Path

import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import ExifTags, Image

from mmseg_rloss.datasets import DatasetFilesError, DatasetNotFoundError, ScribbleDataset
from mmseg_rloss.datasets.label_png import voc_palette

CLASSES = dict(classes=("ground", "leaf", "fruit"))
LOADING = [dict(type="LoadImageFromFile"), dict(type="mmseg.LoadAnnotations")]
# An id each, with its suffix.
IMAGES = {"my image": ".jpg", "v1.5": ".PNG", "sub/scan.v2.final": ".tif", "old": ".jpeg"}


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path):
    """Images of 9x12 pixels whose value is their position, and scribbles of that position."""
    for i, (name, suffix) in enumerate(IMAGES.items()):
        write(tmp_path / "images" / f"{name}{suffix}", np.full((9, 12, 3), 60 * i, np.uint8))
        scribble = np.full((9, 12), 255, np.uint8)
        scribble[4, 2:10] = (i + 1) % 3
        write(tmp_path / "scribbles" / f"{name}.png", scribble)
    return tmp_path


def dataset(root, **arguments):
    return ScribbleDataset(root, **dict(metainfo=CLASSES, pipeline=LOADING) | arguments)


def check_pairs(images, names):
    """See that each image comes with the labels of its own id."""
    assert len(images) == len(names)
    for item in images:
        index = int(item["img"].mean() / 60 + 0.5)
        assert np.unique(item["gt_seg_map"]).tolist() == [(index + 1) % 3, 255]
        names.remove(list(IMAGES)[index])
    assert not names


def test_without_a_list_every_label_map_counts_whatever_its_id_and_suffix(root):
    write(root / "images" / "without labels.jpg", np.zeros((9, 12, 3), np.uint8))
    (root / "images" / "._old.jpeg").write_bytes(b"Mac OS X")
    (root / "scribbles" / "._old.png").write_bytes(b"Mac OS X")
    check_pairs(dataset(root), list(IMAGES))


def test_a_list_chooses_ids_in_any_form(root):
    text = "my image\nimages/v1.5.PNG scribbles/v1.5.png\n\nsub/scan.v2.final\n"
    (root / "some ids.txt").write_text(text)
    check_pairs(dataset(root, ann_file="some ids.txt"), list(IMAGES)[:3])


def test_folders_have_any_names_and_may_lie_elsewhere(root):
    (root / "images").rename(root / "Fotos 2026")
    (root / "scribbles").rename(root / "ink")
    prefix = dict(img_path=root / "Fotos 2026", seg_map_path="ink")
    check_pairs(dataset(root, data_prefix=prefix), list(IMAGES))


def test_label_maps_may_end_in_more_than_a_suffix(root):
    for path in list((root / "scribbles").rglob("*.png")):
        path.rename(path.with_name(f"{path.name.removesuffix('.png')}_ink.png"))
    check_pairs(dataset(root, seg_map_suffix="_ink.png"), list(IMAGES))


@pytest.mark.parametrize(
    "palette",
    [[[0, 0, 0]], [[0, 0, 0]] * 4, ["red", "sky", "tan"], [[0, 0, 0]] * 2 + [[0, 0, 256]]],
    ids=["short", "long", "names", "out of range"],
)
def test_a_palette_that_does_not_fit_the_classes_is_refused(root, palette):
    with pytest.raises(ValueError, match=r"palette must have a colour .* of the 3 classes"):
        dataset(root, metainfo=dict(CLASSES, palette=palette))


def test_classes_of_one_colour_are_warned_of(root):
    with pytest.warns(UserWarning, match="share a colour"):
        dataset(root, metainfo=dict(CLASSES, palette=[[0, 0, 0], [9, 9, 9], [9, 9, 9]]))


def test_masks_are_read_to_validate_on(root):
    (root / "scribbles").rename(root / "masks")
    check_pairs(dataset(root, labels="mask"), list(IMAGES))


def test_colours_are_distinct_where_none_are_named(root):
    config = dict(type="ScribbleDataset", data_root=str(root), metainfo=CLASSES, lazy_init=True)
    assert DATASETS.build(config).metainfo["palette"] == voc_palette()[:3].tolist()
    own = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    config["metainfo"] = dict(CLASSES, palette=own)
    assert DATASETS.build(config).metainfo["palette"] == own


def test_classes_may_stand_in_a_file(root):
    (root / "classes.txt").write_text("ground\nripe fruit \n\nleaf\n\n")
    images = dataset(root, metainfo=dict(classes=str(root / "classes.txt")))
    assert list(images.metainfo["classes"]) == ["ground", "ripe fruit", "leaf"]


@pytest.mark.parametrize("metainfo", [None, {}, dict(classes=()), dict(classes=("a", "a"))])
def test_classes_must_be_named(root, metainfo):
    with pytest.raises(ValueError, match="metainfo must name the classes"):
        dataset(root, metainfo=metainfo)


def test_all_that_is_wrong_is_reported_by_name_at_once(root):
    write(root / "images" / "old.png", np.zeros((9, 12, 3), np.uint8))
    (root / "images" / "v1.5.PNG").unlink()
    write(root / "scribbles" / "my image.png", np.full((9, 12), 3, np.uint8))
    write(root / "scribbles" / "sub" / "scan.v2.final.png", np.zeros((9, 12, 3), np.uint8))
    with pytest.raises(DatasetFilesError) as error:
        dataset(root)
    message = str(error.value)
    assert message.startswith("4 images of the data set cannot be used")
    for part in (
        f"{root}/images/old.jpeg and {root}/images/old.png would share the labels of 'old'",
        f"{root}/images/v1.5.jpg: missing, and so are .bmp, .jpeg, .png, .tif, .tiff, .webp",
        "my image.png: label 3, which is not one of the 3 classes",
        "scan.v2.final.png: 3 channels",
    ):
        assert part in message


def test_a_suffix_that_is_named_tells_two_images_apart(root):
    write(root / "images" / "old.png", np.zeros((9, 12, 3), np.uint8))
    (root / "ids.txt").write_text("old\n")
    assert len(dataset(root, ann_file="ids.txt", img_suffix=".jpeg")) == 1


def test_labels_lie_on_the_image_as_the_network_gets_it(root):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (12, 9)).save(root / "images" / "my image.jpg", exif=exif)
    with pytest.raises(DatasetFilesError, match=r"\(12, 9\) pixels, its image .* has \(9, 12\)"):
        dataset(root)


def test_another_value_may_stand_for_unlabelled(root):
    for i, name in enumerate(IMAGES):
        scribble = np.zeros((9, 12), np.uint8)
        scribble[4] = 1 + (i + 1) % 3
        write(root / "scribbles" / f"{name}.png", scribble)
    with pytest.raises(DatasetFilesError, match=r"hold the label 3.*reduce_zero_label=True"):
        (root / "ids.txt").write_text("v1.5\n")
        dataset(root, ann_file="ids.txt")
    check_pairs(dataset(root, reduce_zero_label=True), list(IMAGES))


def test_what_lacks_is_named(root):
    (root / "images").rename(root / "pictures")
    with pytest.raises(
        DatasetNotFoundError, match=rf"{root} lacks images/, ids\.txt\.\nOther fold"
    ):
        dataset(root, ann_file="ids.txt")
    with pytest.raises(DatasetNotFoundError, match="does not exist; it should hold images/"):
        dataset(root / "nowhere")


def test_an_empty_folder_is_reported(tmp_path):
    for name in ("images", "scribbles"):
        (tmp_path / name).mkdir()
    with pytest.warns(UserWarning, match="scribbles names no image: the data set is empty"):
        assert len(dataset(tmp_path)) == 0
