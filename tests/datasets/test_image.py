"""The one reader of images, against what MMSeg's LoadImageFromFile hands the network."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from PIL import ExifTags, Image

from mmseg_rloss.datasets.image import image_size, read_image


def of_the_network(path) -> np.ndarray:
    return LoadImageFromFile()(dict(img_path=str(path)))["img"][..., ::-1]


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_image_is_as_the_network_gets_it(pixels, tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(pixels).save(path, exif=exif)
    expected = of_the_network(path)
    assert np.array_equal(read_image(path), expected)
    assert image_size(path, LoadImageFromFile()) == expected.shape[:2]


def test_a_loader_that_ignores_the_orientation_has_its_own_size(pixels, tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(pixels).save(tmp_path / "image.jpg", exif=exif)
    loader = LoadImageFromFile(color_type="color_ignore_orientation")
    assert image_size(tmp_path / "image.jpg", loader) == (6, 9)


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_scaled_not_clipped(tmp_path, channels):
    grey = (np.arange(54 * channels).reshape(6, 9, channels) * 400).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "image.png"), grey)
    read = read_image(tmp_path / "image.png")
    assert np.array_equal(read, of_the_network(tmp_path / "image.png"))
    assert len(np.unique(read)) > 50 and read.max() < 255


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "bmp"])
@pytest.mark.parametrize("kept", [0, 0.5, 0.98])
def test_a_file_that_broke_off_is_not_an_image(tmp_path, suffix, kept):
    path = tmp_path / f"image.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(OSError, match=rf"image\.{suffix}: (truncated|unreadable)"):
        read_image(path)


def jpeg(tmp_path) -> tuple[Path, bytes]:
    """A path for a JPEG larger than what is looked at for its end, and its bytes."""
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    path = tmp_path / "image.jpg"
    Image.fromarray(noise).save(path)
    return path, path.read_bytes()


def test_the_end_of_a_thumbnail_is_not_that_of_its_image(tmp_path):
    path, whole = jpeg(tmp_path)
    thumbnail = b"\xff\xfe\x00\x04\xff\xd9"  # a comment
    path.write_bytes(whole[:2] + thumbnail + whole[2:-40])
    with pytest.raises(OSError, match=r"image\.jpg: truncated"):
        read_image(path)


def test_bytes_of_the_camera_after_the_end_do_no_harm(tmp_path):
    path, whole = jpeg(tmp_path)
    expected = read_image(path)
    path.write_bytes(whole + bytes(500))
    assert np.array_equal(read_image(path), expected)


def test_what_is_not_a_file_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    with pytest.raises(OSError, match=r"pipe\.jpg: not a file"):
        read_image(tmp_path / "pipe.jpg")
    with pytest.raises(FileNotFoundError, match=r"circle\.jpg: missing"):
        read_image(tmp_path / "circle.jpg")
