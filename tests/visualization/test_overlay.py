"""Images and the label maps over them."""

import mmcv
import numpy as np
import pytest
from PIL import Image

from mmseg_rloss.visualization import (
    clear_background,
    overlay_labels,
    overlay_scribbles,
    read_image,
)

PALETTE = np.array([[0, 0, 0], [200, 40, 0], [0, 90, 250]], dtype=np.uint8)
EXIF_ORIENTATION = 0x0112
LYING_ON_ITS_SIDE = 6


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)


def test_unlabelled_pixels_show_the_image_and_labelled_ones_their_colour(image):
    labels = np.full((6, 8), 255, dtype=np.uint8)
    labels[2, 3:5] = 1, 2
    overlay = overlay_labels(image, labels, PALETTE, opacity=1)
    assert overlay[2, 3:5].tolist() == PALETTE[1:].tolist()
    assert np.array_equal(overlay[labels == 255], image[labels == 255])


def test_brightness_alone_shines_through():
    image = np.array([[[30, 60, 120], [70, 70, 70]]], dtype=np.uint8)  # of equal brightness
    overlay = overlay_labels(image, np.array([[1, 1]]), PALETTE, opacity=0.5)
    assert overlay.tolist() == [[[135, 55, 35], [135, 55, 35]]]


def test_colours_are_rounded_to_the_nearest():
    overlay = overlay_labels(np.full((1, 1, 3), 71, np.uint8), np.array([[1]]), PALETTE, 0.5)
    assert overlay.tolist() == [[[136, 56, 36]]]  # 135.5, 55.5 (to even) and 35.5


def test_the_background_is_left_clear(image):
    labels = np.arange(48, dtype=np.uint8).reshape(6, 8) % 4
    labels[labels == 3] = 255
    overlay = overlay_labels(image, labels, PALETTE, opacity=1)
    for label in (0, 255):
        assert np.array_equal(overlay[labels == label], image[labels == label])
    for label in (1, 2):
        assert (overlay[labels == label] == PALETTE[label]).all()


def test_a_background_of_any_colour_can_be_cleared():
    palette = np.array([[200, 40, 0], [255, 255, 255], [0, 90, 250]], dtype=np.uint8)
    cleared = clear_background(palette, ["leaf", "background"])
    assert cleared.tolist() == [[200, 40, 0], [0, 0, 0], [0, 90, 250]]
    assert palette[1].tolist() == [255, 255, 255], "the label maps keep their palette"


def test_scribbles_show_on_a_pale_image_the_backgrounds_too(image):
    labels = np.full((6, 8), 255, dtype=np.uint8)
    labels[2] = 0
    labels[4] = 2
    picture = overlay_scribbles(image, labels, PALETTE)
    assert (picture[2] == PALETTE[0]).all() and (picture[4] == PALETTE[2]).all()
    beside = labels == 255
    assert picture[beside].min() >= 127
    order = np.argsort(image[beside], axis=None)
    assert (np.diff(picture[beside].ravel()[order].astype(int)) >= 0).all(), "it is still an image"


def test_leaves_the_image_as_it_was(image):
    before = image.copy()
    overlay_labels(image, np.ones((6, 8), dtype=np.uint8), PALETTE)
    assert np.array_equal(image, before)


def test_an_image_is_upright_as_the_network_gets_it(image, tmp_path):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = LYING_ON_ITS_SIDE
    Image.fromarray(image).save(tmp_path / "image.png", exif=exif)
    read = read_image(tmp_path / "image.png")
    assert read.shape == (8, 6, 3)
    assert np.array_equal(read, np.rot90(image, -1))

    Image.fromarray(image).save(tmp_path / "image.jpg", exif=exif)
    of_the_network = mmcv.imread(str(tmp_path / "image.jpg"), channel_order="rgb")
    assert read_image(tmp_path / "image.jpg").shape == of_the_network.shape


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_images_of_other_kinds_become_rgb(image, tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.fromarray(image).convert(mode).save(tmp_path / f"image.{suffix}")
    assert read_image(tmp_path / f"image.{suffix}").shape == (6, 8, 3)


def test_a_file_that_is_not_an_image_raises(tmp_path):
    (tmp_path / "image.jpg").write_bytes(b"no image")
    with pytest.raises(OSError):
        read_image(tmp_path / "image.jpg")
