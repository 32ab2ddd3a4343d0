"""Label maps as PNGs, read back by Pillow."""

import resource

import numpy as np
import pytest
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


def test_a_coloured_png_is_no_label_map(tmp_path):
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
