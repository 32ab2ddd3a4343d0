"""The images of the benchmarks are those that the network would get."""

import numpy as np
from PIL import ExifTags, Image

from benchmarks import images


def test_images_of_any_suffix_are_read_by_name_as_the_network_gets_them(tmp_path):
    deep = np.full((4, 6), 128 * 257, np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (8, 4), (200, 30, 90)).save(tmp_path / "b.JPEG", exif=turned)
    Image.new("RGB", (5, 3)).save(tmp_path / "c.webp")
    (tmp_path / "d.txt").write_text("no image")
    found, source = images.load_images(tmp_path)
    assert source == "3 images"
    assert [image.size for image in found] == [(6, 4), (4, 8), (5, 3)]
    assert found[0].getpixel((0, 0)) == (128, 128, 128)
    assert np.abs(np.subtract(found[1].getpixel((0, 0)), (200, 30, 90))).max() <= 3  # of a JPEG
    assert len(images.read_images(tmp_path, 2)) == 2
