"""Label maps as PNGs, read back by Pillow."""

import resource

import numpy as np
import pytest
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from mmseg_rloss.datasets.label_png import read_label_png, voc_palette, write_label_png

LABELS = np.array([[0, 1, 20], [255, 2, 0]], dtype=np.uint8)


def test_shows_the_colours_of_voc_and_keeps_the_labels(tmp_path):
    write_label_png(LABELS, tmp_path / "labels.png")
    with Image.open(tmp_path / "labels.png") as image:
        assert np.array_equal(np.array(image), LABELS)
        colours = np.array(image.convert("RGB"))
    # From PASCAL VOC's documentation: aeroplane, tvmonitor and the border of an object.
    assert colours[0, 1].tolist() == [128, 0, 0]
    assert colours[0, 2].tolist() == [0, 64, 128]
    assert colours[1, 0].tolist() == [224, 224, 192]


def test_shows_colours_of_ones_own(tmp_path):
    palette = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
    write_label_png(LABELS, tmp_path / "labels.png", palette)
    labels, colours = read_label_png(tmp_path / "labels.png")
    assert np.array_equal(labels, LABELS)
    assert np.array_equal(colours[:2], palette)
    assert np.array_equal(colours[2:], voc_palette()[2:])


def test_a_grey_png_gets_the_colours_of_voc(tmp_path):
    Image.fromarray(LABELS).save(tmp_path / "grey.png")
    labels, colours = read_label_png(tmp_path / "grey.png")
    assert np.array_equal(labels, LABELS)
    assert np.array_equal(colours, voc_palette())


def test_a_coloured_png_is_not_a_label_map(tmp_path):
    Image.fromarray(LABELS).convert("RGB").save(tmp_path / "colours.png")
    with pytest.raises(ValueError, match=r"colours\.png: RGB"):
        read_label_png(tmp_path / "colours.png")


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path):
    write_label_png(LABELS, tmp_path / "labels.png")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError):
            write_label_png(np.zeros((50, 50), dtype=np.uint8), tmp_path / "labels.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert np.array_equal(read_label_png(tmp_path / "labels.png")[0], LABELS)


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16", "I", "F"])
def test_any_one_channel_of_labels_is_read_as_mmseg_does(tmp_path, mode):
    labels = (LABELS % 2).astype(np.uint8)
    Image.fromarray(labels * (255 if mode == "1" else 1)).convert(mode).save(tmp_path / "l.tif")
    results = dict(seg_map_path=str(tmp_path / "l.tif"), reduce_zero_label=False, seg_fields=[])
    of_the_network = LoadAnnotations()(results)["gt_seg_map"]
    assert np.array_equal(read_label_png(tmp_path / "l.tif")[0], of_the_network)


@pytest.mark.parametrize("value", [-1, 256, 70000, 0.5, np.nan])
def test_values_that_8_bits_would_cut_to_another_label_are_refused(tmp_path, value):
    labels = np.full((3, 4), value, np.float32 if isinstance(value, float) else np.int32)
    Image.fromarray(labels).save(tmp_path / "labels.tif")
    with pytest.raises(ValueError, match=rf"labels\.tif: label {value}, where labels are whole"):
        read_label_png(tmp_path / "labels.tif")


def test_other_values_for_unlabelled_become_255(tmp_path):
    Image.fromarray(LABELS).save(tmp_path / "labels.png")

    def read(**options):
        return read_label_png(tmp_path / "labels.png", **options)[0].tolist()

    assert read(ignore_index=20) == [[0, 1, 255], [255, 2, 0]]
    assert read(reduce_zero_label=True) == [[255, 0, 19], [255, 1, 255]]
    assert read(ignore_index=2, reduce_zero_label=True) == [[255, 0, 19], [255, 255, 255]]
    write_label_png(LABELS, tmp_path / "labels.png")
    labels, colours = read_label_png(tmp_path / "labels.png", reduce_zero_label=True)
    assert colours[labels[0, 1]].tolist() == [128, 0, 0], "an aeroplane keeps its colour"


@pytest.mark.parametrize("damage", range(60))
def test_a_damaged_file_is_named(tmp_path, damage):
    write_label_png(LABELS, tmp_path / "labels.png")
    data = bytearray((tmp_path / "labels.png").read_bytes())
    rng = np.random.default_rng(damage)
    for place in rng.integers(8, len(data), 20):
        data[place] = rng.integers(256)
    (tmp_path / "labels.png").write_bytes(data)
    with pytest.raises(ValueError, match=r"labels\.png: "):
        read_label_png(tmp_path / "labels.png")
