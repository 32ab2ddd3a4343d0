"""Lists of images in the forms in which they are published."""

import pytest

from mmseg_rloss.datasets.id_list import read_id_list


@pytest.mark.parametrize(
    "text",
    [
        b"a\nsub/b c\n",
        b"\xef\xbb\xbfa\r\nsub/b c\r\n",
        b"\na\n\n  sub/b c  \n\n",
        b"a.jpg\nsub/b c",
        b"JPEGImages/a.jpg pascal_2012_scribble/a.png\nsub/b c\n",
        b"/JPEGImages/a.jpg /SegmentationClassAug/a.png\nsub/b c\n",
        b"JPEGImages/a.JPG\tSegmentationClassAug/a.png\nsub/b c\n",
    ],
)
def test_every_form_names_the_same_images(tmp_path, text):
    (tmp_path / "list.txt").write_bytes(text)
    assert read_id_list(tmp_path / "list.txt") == ["a", "sub/b c"]


def test_a_path_keeps_its_subfolders_and_dots(tmp_path):
    (tmp_path / "list.txt").write_text("JPEGImages/trip/a.b.jpg labels/trip/a.b.png\nv1.5_x\n")
    assert read_id_list(tmp_path / "list.txt") == ["trip/a.b", "v1.5_x"]


def test_paths_may_hold_spaces(tmp_path):
    (tmp_path / "list.txt").write_text(
        "JPEGImages/my cat.JPEG masks/my cat.png\nimages/a dog.tif\n"
    )
    assert read_id_list(tmp_path / "list.txt") == ["my cat", "a dog"]


def test_an_empty_list_is_empty(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbf\n")
    assert read_id_list(tmp_path / "list.txt") == []


@pytest.mark.parametrize(
    "text, message",
    [
        (b"JPEGImages/a.jpg masks/b.png\n", "pairs an image with labels of another name"),
        ("ä\n".encode("latin-1"), "not a list in UTF-8"),
        ("a\n".encode("utf-16"), "not a list in UTF-8"),
    ],
)
def test_what_is_not_such_a_list_is_named(tmp_path, text, message):
    (tmp_path / "list.txt").write_bytes(text)
    with pytest.raises(ValueError, match=rf"list\.txt: .*{message}"):
        read_id_list(tmp_path / "list.txt")
