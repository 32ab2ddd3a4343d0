"""PascalScribbleDataset on small data sets written here, and on real images where they are."""

import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import ExifTags, Image

from mmseg_rloss.datasets import DatasetFilesError, DatasetNotFoundError, PascalScribbleDataset
from mmseg_rloss.datasets.label_png import voc_palette, write_label_png
from tests.tools.network import write_image

IDS = {"train": ["2007_000032", "2007_000039"], "val": ["2007_000033"]}
VOC_ANIMALS = Path(__file__).parents[3] / "shared" / "voc_animals"


def write_labels(root: Path, folder: str, name: str, labels: np.ndarray) -> None:
    write_label_png(labels.astype(np.uint8), root / folder / f"{name}.png")


@pytest.fixture(autouse=True)
def transforms_of_mmseg() -> None:
    init_default_scope("mmseg")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Images of 12 by 9 pixels; masks are all 15 (person), scribbles one such stroke."""
    for folder in ("JPEGImages", "SegmentationClassAug", "pascal_2012_scribble"):
        (tmp_path / folder).mkdir()
    for name in IDS["train"] + IDS["val"]:
        mask = np.full((9, 12), 15)
        scribble = np.full((9, 12), 255)
        scribble[4, 2:10] = 15
        write_image(tmp_path / "JPEGImages" / f"{name}.jpg", (9, 12))
        write_labels(tmp_path, "SegmentationClassAug", name, mask)
        write_labels(tmp_path, "pascal_2012_scribble", name, scribble)
    write_id_lists(tmp_path, "ImageSets/Segmentation", train="train_aug", val="val")
    return tmp_path


def write_id_lists(root: Path, folder: str, **names: str) -> None:
    (root / folder).mkdir(parents=True)
    for split, name in names.items():
        (root / folder / f"{name}.txt").write_text("\n".join(IDS[split]) + "\n")


def load_labels(dataset: PascalScribbleDataset, index: int = 0) -> np.ndarray:
    return dataset[index]["gt_seg_map"]


LOADING = [dict(type="LoadImageFromFile"), dict(type="mmseg.LoadAnnotations")]


def test_trains_on_scribbles_and_validates_on_masks(root):
    train = PascalScribbleDataset(root, split="train", labels="scribble", pipeline=LOADING)
    val = PascalScribbleDataset(root, split="val", labels="mask", pipeline=LOADING)

    assert [Path(item["img_path"]).stem for item in train] == IDS["train"]
    assert [Path(item["img_path"]).stem for item in val] == IDS["val"]
    assert np.unique(load_labels(train), return_counts=True)[1].tolist() == [8, 100]
    assert np.unique(load_labels(val)).tolist() == [15]


def test_defaults_to_the_scribbles_of_the_training_split(root):
    dataset = PascalScribbleDataset(root, pipeline=LOADING)
    assert len(dataset) == 2
    assert 255 in load_labels(dataset)


def test_trains_on_masks_for_comparison(root):
    dataset = PascalScribbleDataset(root, split="train", labels="mask", pipeline=LOADING)
    assert np.unique(load_labels(dataset)).tolist() == [15]


def test_knows_the_classes_of_voc(root):
    dataset = DATASETS.build(dict(type="PascalScribbleDataset", data_root=str(root)))
    classes, palette = dataset.metainfo["classes"], dataset.metainfo["palette"]
    assert len(classes) == 21
    assert (classes[0], classes[15], classes[20]) == ("background", "person", "tvmonitor")
    assert np.array_equal(palette, voc_palette()[:21])


def test_can_be_limited_to_some_classes(root):
    metainfo = dict(classes=("background", "person"))
    dataset = PascalScribbleDataset(root, labels="mask", metainfo=metainfo, pipeline=LOADING)
    assert np.unique(load_labels(dataset)).tolist() == [1]


def test_classes_that_are_not_vocs_are_for_another_data_set(root):
    with pytest.raises(ValueError, match=r"not a subset of VOC's: leaf\. ScribbleDataset reads"):
        PascalScribbleDataset(root, metainfo=dict(classes=("background", "leaf")))


def test_finds_the_id_lists_of_either_layout(root):
    write_id_lists(root, "ImageSets/SegmentationAug", train="train", val="val")
    for name in ("train_aug", "val"):
        (root / "ImageSets" / "Segmentation" / f"{name}.txt").unlink()
    assert len(PascalScribbleDataset(root, split="train")) == 2
    assert len(PascalScribbleDataset(root, split="val", labels="mask")) == 1


def test_of_two_id_lists_that_of_the_augmented_masks_counts(root):
    write_id_lists(root, "ImageSets/SegmentationAug", train="train", val="val")
    (root / "ImageSets" / "Segmentation" / "train_aug.txt").write_text("absent\n")
    assert len(PascalScribbleDataset(root, split="train")) == 2


def test_collates_through_the_training_pipeline(root):
    pipeline = [
        *LOADING,
        dict(type="LoadRegionOfInterest"),
        dict(type="PackScribbleInputs"),
    ]
    batch = pseudo_collate(list(PascalScribbleDataset(root, pipeline=pipeline)))
    assert [tuple(image.shape) for image in batch["inputs"]] == [(3, 9, 12)] * 2


def test_rejects_an_unknown_split_or_kind_of_labels(root):
    with pytest.raises(ValueError, match="split must be 'train' or 'val', got 'test'"):
        PascalScribbleDataset(root, split="test")
    with pytest.raises(ValueError, match="labels must be 'scribble' or 'mask', got 'box'"):
        PascalScribbleDataset(root, labels="box")


def test_says_how_to_get_data_that_is_not_there(tmp_path):
    with pytest.raises(DatasetNotFoundError) as error:
        PascalScribbleDataset(tmp_path / "nowhere")
    message = str(error.value)
    assert str(tmp_path / "nowhere") in message
    assert "PASCAL_SCRIBBLE_ROOT" in message
    assert "make train" in message
    for tool in re.findall(r"tools/\S+\.py", message):
        assert (Path(__file__).parents[2] / tool).is_file(), f"{tool} is named but not there"
    assert isinstance(error.value, FileNotFoundError)


def test_names_every_missing_part_of_the_layout(root):
    (root / "pascal_2012_scribble").rename(root / "scribbles")
    (root / "ImageSets" / "Segmentation" / "train_aug.txt").unlink()
    with pytest.raises(DatasetNotFoundError) as error:
        PascalScribbleDataset(root)
    first_line = str(error.value).splitlines()[0]
    assert "pascal_2012_scribble/" in first_line
    assert "ImageSets/Segmentation/train_aug.txt" in first_line
    assert "JPEGImages" not in first_line


def test_validation_needs_no_scribbles(root):
    (root / "pascal_2012_scribble").rename(root / "scribbles")
    assert len(PascalScribbleDataset(root, split="val", labels="mask")) == 1


def test_reports_all_bad_files_at_once(root):
    first, second = IDS["train"]
    (root / "JPEGImages" / f"{first}.jpg").unlink()
    write_labels(root, "pascal_2012_scribble", second, np.zeros((9, 11)))
    with pytest.raises(DatasetFilesError) as error:
        PascalScribbleDataset(root)
    message = str(error.value)
    assert f"{first}.jpg: missing" in message
    assert f"{second}.png: (11, 9) pixels, its image {second}.jpg has (12, 9)" in message


def test_reports_labels_that_hold_colours(root):
    name = IDS["train"][0]
    Image.new("RGB", (12, 9)).save(root / "pascal_2012_scribble" / f"{name}.png")
    with pytest.raises(DatasetFilesError, match=rf"{name}\.png: 3 channels"):
        PascalScribbleDataset(root)


def test_reports_files_that_are_not_pictures(root):
    name = IDS["train"][0]
    (root / "pascal_2012_scribble" / f"{name}.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetFilesError, match=rf"{name}\.png: unreadable"):
        PascalScribbleDataset(root)


def test_a_long_report_ends_with_a_count(root):
    lines = [f"absent_{i:03d}" for i in range(130)]
    (root / "ImageSets" / "Segmentation" / "train_aug.txt").write_text("\n".join(lines))
    with pytest.raises(DatasetFilesError) as error:
        PascalScribbleDataset(root)
    message = str(error.value).splitlines()
    assert message[0].startswith("130 images")
    assert message[-1].strip() == "and 30 more"


def test_a_label_png_shows_vocs_colours_and_reads_back_as_labels(tmp_path):
    labels = np.array([[0, 1, 15], [20, 255, 2]], dtype=np.uint8)
    write_label_png(labels, tmp_path / "labels.png")
    with Image.open(tmp_path / "labels.png") as image:
        assert np.array_equal(np.array(image), labels)
        colours = np.array(image.convert("RGB"))
    # As published with PASCAL VOC: aeroplane, person, tvmonitor, and cream for 255.
    assert colours[0, 1].tolist() == [128, 0, 0]
    assert colours[0, 2].tolist() == [192, 128, 128]
    assert colours[1, 0].tolist() == [0, 64, 128]
    assert colours[1, 1].tolist() == [224, 224, 192]


@pytest.mark.skipif(not VOC_ANIMALS.is_dir(), reason="../shared/voc_animals is not there")
def test_reads_real_images_as_they_lie():
    train = PascalScribbleDataset(VOC_ANIMALS, pipeline=LOADING)
    val = PascalScribbleDataset(VOC_ANIMALS, split="val", labels="mask", pipeline=LOADING)
    assert (len(train), len(val)) == (800, 200)
    scribble = load_labels(train)
    assert scribble.shape == train[0]["img"].shape[:2]
    assert 0 < np.mean(scribble != 255) < 0.1


def scribble_path(root: Path, index: int = 0) -> Path:
    return root / "pascal_2012_scribble" / f"{IDS['train'][index]}.png"


def test_truncated_files_are_named(root):
    image = root / "JPEGImages" / f"{IDS['train'][0]}.jpg"
    for path, lost in ((image, 2), (scribble_path(root, 1), 40)):
        path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(DatasetFilesError) as caught:
        PascalScribbleDataset(root)
    message = str(caught.value)
    assert f"{IDS['train'][0]}.jpg: truncated" in message
    assert f"{IDS['train'][1]}.png: unreadable" in message


@pytest.mark.parametrize("label", [21, 254])
def test_labels_that_are_of_no_class_are_named(root, label):
    write_labels(root, "pascal_2012_scribble", IDS["train"][0], np.full((9, 12), label))
    with pytest.raises(DatasetFilesError, match=f"{IDS['train'][0]}.png: label {label}, "):
        PascalScribbleDataset(root)


def test_a_scribble_file_without_a_scribble_is_named_but_does_no_harm(root):
    write_labels(root, "pascal_2012_scribble", IDS["train"][0], np.full((9, 12), 255))
    with pytest.warns(UserWarning, match="1 label maps have no labelled pixel") as caught:
        dataset = PascalScribbleDataset(root)
    assert len(dataset) == 2
    assert str(scribble_path(root)) in str(caught[0].message)
    assert str(scribble_path(root, 1)) not in str(caught[0].message)


def turned(root: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = root / "JPEGImages" / f"{IDS['train'][0]}.jpg"
    Image.new("RGB", (12, 9)).save(image, exif=exif)


def test_labels_lie_on_the_image_as_the_network_gets_it(root):
    turned(root, 6)
    with pytest.raises(DatasetFilesError, match=r"\(12, 9\) pixels, its image .* has \(9, 12\)"):
        PascalScribbleDataset(root)
    scribble = np.full((12, 9), 255)
    scribble[4, 2:7] = 15
    write_labels(root, "pascal_2012_scribble", IDS["train"][0], scribble)
    dataset = PascalScribbleDataset(root, pipeline=LOADING)
    assert dataset[0]["img"].shape[:2] == dataset[0]["gt_seg_map"].shape == (12, 9)


def test_a_pipeline_that_leaves_images_lying_wants_labels_that_lie(root):
    turned(root, 6)
    load = dict(type="LoadImageFromFile", color_type="color_ignore_orientation")
    dataset = PascalScribbleDataset(root, pipeline=[load, LOADING[1]])
    assert dataset[0]["img"].shape[:2] == dataset[0]["gt_seg_map"].shape == (9, 12)


def test_labels_of_16_bits_are_not_cut_to_8(root):
    Image.fromarray(np.full((9, 12), 256 + 15, np.uint16)).save(scribble_path(root))
    with pytest.raises(DatasetFilesError, match=r"\.png: label 271, where labels are whole"):
        PascalScribbleDataset(root)


def test_reads_another_list_and_other_folders(root):
    (root / "some.txt").write_bytes(b"\xef\xbb\xbfJPEGImages/2007_000039.jpg x/2007_000039.png\r\n")
    assert len(PascalScribbleDataset(root, ann_file="some.txt")) == 1
    (root / "pascal_2012_scribble").rename(root / "spots")
    (root / "JPEGImages").rename(root / "images")
    prefix = dict(img_path="images", seg_map_path="spots")
    dataset = PascalScribbleDataset(root, data_prefix=prefix, pipeline=LOADING)
    assert np.unique(load_labels(dataset)).tolist() == [15, 255]
    with pytest.raises(DatasetNotFoundError, match=r"lacks JPEGImages/, other\.txt"):
        PascalScribbleDataset(
            root, ann_file="other.txt", data_prefix=dict(seg_map_path="spots"), pipeline=LOADING
        )


def test_an_empty_list_is_reported(root):
    (root / "ImageSets/Segmentation/train_aug.txt").write_text("\n")
    with pytest.warns(UserWarning, match=r"train_aug\.txt names no image"):
        assert len(PascalScribbleDataset(root)) == 0


def test_images_that_a_list_repeats_are_reported(root):
    (root / "ImageSets/Segmentation/train_aug.txt").write_text("\n".join(IDS["train"] * 2))
    with pytest.warns(UserWarning, match=rf"2 images more than once.*{IDS['train'][0]}"):
        assert len(PascalScribbleDataset(root)) == 4


def test_label_maps_that_are_jpegs_are_refused(root):
    with Image.open(scribble_path(root)) as image:
        image.convert("L").save(scribble_path(root), format="JPEG")
    with pytest.raises(DatasetFilesError, match=r"\.png: a JPEG, which blends labels"):
        PascalScribbleDataset(root)


def test_a_list_that_is_not_text_is_named(root):
    (root / "ImageSets/Segmentation/train_aug.txt").write_bytes(b"\xff\xfea\x00")
    with pytest.raises(DatasetFilesError, match=r"train_aug\.txt: not a list in UTF-8"):
        PascalScribbleDataset(root)


@pytest.mark.parametrize(
    "folder, arguments",
    [
        ("SegmentationClassAug", dict(split="val", labels="mask")),
        ("pascal_2012_scribble", {}),
    ],
)
def test_says_so_where_all_label_maps_look_binary(root, folder, arguments):
    binary = np.zeros((9, 12))
    binary[2:5, 2:5] = 255
    for name in IDS["train"] + IDS["val"]:
        write_labels(root, folder, name, binary)
    with pytest.warns(UserWarning, match=r"All label maps hold 0 and 255 alone.*make it 1"):
        PascalScribbleDataset(root, **arguments)


def test_0_may_stand_for_unlabelled(root):
    scribble = np.zeros((9, 12))
    scribble[2, :6], scribble[3, :6] = 1, 16
    for name in IDS["train"]:
        write_labels(root, "pascal_2012_scribble", name, scribble)
    with pytest.warns(UserWarning, match=r"No pixel is unlabelled.*reduce_zero_label=True"):
        PascalScribbleDataset(root)
    dataset = PascalScribbleDataset(root, reduce_zero_label=True, pipeline=LOADING)
    labels, pixels = np.unique(load_labels(dataset), return_counts=True)
    assert dict(zip(labels.tolist(), pixels.tolist(), strict=True)) == {0: 6, 15: 6, 255: 96}

    scribble[3] = 21  # counted from 1, the last class
    for name in IDS["train"]:
        write_labels(root, "pascal_2012_scribble", name, scribble)
    with pytest.raises(DatasetFilesError, match=r"hold the label 21: .*reduce_zero_label=True"):
        PascalScribbleDataset(root)
    dataset = PascalScribbleDataset(root, reduce_zero_label=True, pipeline=LOADING)
    assert np.unique(load_labels(dataset)).tolist() == [0, 20, 255]


def test_says_so_where_most_pixels_have_a_class_and_none_is_unlabelled(root):
    scribble = np.full((9, 12), 4)  # as in medical scribbles; here, a boat
    scribble[2] = 1
    for name in IDS["train"]:
        write_labels(root, "pascal_2012_scribble", name, scribble)
    with pytest.warns(UserWarning, match=r"most are labelled 4. If 4 .*, say ignore_index=4$"):
        PascalScribbleDataset(root)


@pytest.mark.parametrize("classes", [None, ("background", "person")])
def test_another_value_may_stand_for_unlabelled(root, classes):
    scribble = np.full((9, 12), 99)
    scribble[2] = 15
    for name in IDS["train"]:
        write_labels(root, "pascal_2012_scribble", name, scribble)
    with pytest.raises(DatasetFilesError, match=r"hold the label 99: .*ignore_index=99"):
        PascalScribbleDataset(root)
    metainfo = dict(classes=classes) if classes else {}
    dataset = PascalScribbleDataset(root, ignore_index=99, metainfo=metainfo, pipeline=LOADING)
    assert np.unique(load_labels(dataset)).tolist() == [1 if classes else 15, 255]


@pytest.mark.parametrize("value", [-1, 256, 4.0, "4", None])
def test_ignore_index_is_a_label(root, value):
    with pytest.raises(ValueError, match="ignore_index must be a label from 0 to 255, got"):
        PascalScribbleDataset(root, ignore_index=value)


def test_refuses_transforms_that_invent_labels(root):
    rotate = dict(type="RandomRotFlip", rotate_prob=0.5)
    with pytest.raises(ValueError, match="RandomRotFlip blends labels.*use RandomRotate"):
        PascalScribbleDataset(root, pipeline=[*LOADING, rotate])
