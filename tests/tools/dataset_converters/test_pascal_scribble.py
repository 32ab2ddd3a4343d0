"""The converter on small sources in each of the forms in which they are published."""

import os
import shutil
import signal
import tarfile
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mmseg_rloss.datasets import PascalScribbleDataset
from tools.dataset_converters import pascal_scribble

SIZE = (24, 32)  # height, width
TRAIN, SBD, VAL = ("2007_000001", "2007_000002"), ("2008_000003",), ("2007_000004",)
XML = """<annotation><filename>x.jpg</filename>
<size><width>{width}</width><height>{height}</height><depth>3</depth></size>
<polygon><tag>background</tag>
<point><X>4</X><Y>5</Y></point><point><X>20</X><Y>5</Y></point></polygon>
<polygon><tag>cow</tag>
<point><X>10</X><Y>2</Y></point><point><X>10</X><Y>20</Y></point></polygon>
</annotation>"""


def write_image(path: Path, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(list(path.stem.encode())).integers(0, 256, (*size, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def grey(path: Path, labels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def mask(label: int) -> np.ndarray:
    labels = np.zeros(SIZE, dtype=np.uint8)
    labels[5:15, 5:15] = label
    labels[15, 5:15] = 255
    return labels


@pytest.fixture
def sources(tmp_path) -> Path:
    """VOCdevkit with masks of its own images, SBD's masks of all, ScribbleSup's XML files."""
    voc = tmp_path / "VOCdevkit" / "VOC2012"
    lists = voc / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("\n".join(TRAIN))
    (lists / "val.txt").write_text("\n".join(VAL) + "\n")
    for name in (*TRAIN, *SBD, *VAL, "2009_000005"):  # the last is not for segmentation
        write_image(voc / "JPEGImages" / f"{name}.jpg")
    for name in (*TRAIN, *VAL):
        grey(voc / "SegmentationClass" / f"{name}.png", mask(10))
    for name in (*TRAIN, *SBD, *VAL):
        grey(tmp_path / "SegmentationClassAug" / f"{name}.png", mask(12))
        xml = tmp_path / "xml" / f"{name}.xml"
        xml.parent.mkdir(exist_ok=True)
        xml.write_text(XML.format(height=SIZE[0], width=SIZE[1]))
    return tmp_path


def convert(root: Path, *options: str, voc="VOCdevkit", masks="SegmentationClassAug", xml="xml"):
    paths = {"--out": "out", "--voc": voc, "--masks": masks, "--scribbles": xml}
    arguments = [text for option, name in paths.items() for text in (option, str(root / name))]
    pascal_scribble.main([*arguments, *options])
    return root / "out"


def labels(out: Path, folder: str, name: str) -> np.ndarray:
    with Image.open(out / folder / f"{name}.png") as image:
        return np.array(image)


def refused(root: Path, *options: str, **sources: str) -> str:
    """What the tool says when it stops; it must leave nothing behind."""
    with pytest.raises(SystemExit) as stop:
        convert(root, *options, **sources)
    assert not list(root.glob("out*"))
    return str(stop.value)


def test_the_result_is_the_data_set_of_the_configs(sources):
    out = convert(sources, "--partial")
    lists = out / "ImageSets" / "Segmentation"
    assert (lists / "train_aug.txt").read_text().split() == [*TRAIN, *SBD]
    assert (lists / "val.txt").read_text().split() == list(VAL)
    assert len(PascalScribbleDataset(out, split="train", labels="scribble")) == 3
    assert len(PascalScribbleDataset(out, split="train", labels="mask")) == 3
    assert len(PascalScribbleDataset(out, split="val", labels="mask")) == 1
    assert sorted(path.stem for path in (out / "JPEGImages").iterdir()) == sorted(
        [*TRAIN, *SBD, *VAL]
    )
    source = sources / "VOCdevkit/VOC2012/JPEGImages/2007_000001.jpg"
    assert (out / "JPEGImages/2007_000001.jpg").read_bytes() == source.read_bytes()


def test_masks_are_those_of_voc_and_where_it_has_none_of_sbd(sources):
    out = convert(sources, "--partial")
    assert np.array_equal(labels(out, "SegmentationClassAug", VAL[0]), mask(10))
    assert np.array_equal(labels(out, "SegmentationClassAug", TRAIN[0]), mask(10))
    assert np.array_equal(labels(out, "SegmentationClassAug", SBD[0]), mask(12))


def test_polylines_are_three_pixels_wide_and_later_ones_on_top(sources):
    scribbles = labels(convert(sources, "--partial"), "pascal_2012_scribble", SBD[0])
    assert scribbles.shape == SIZE
    assert np.array_equal(np.unique(scribbles), [0, 10, 255])
    assert np.flatnonzero(scribbles[:, 16] != 255).tolist() == [4, 5, 6]
    assert np.flatnonzero(scribbles[12] != 255).tolist() == [9, 10, 11]
    assert scribbles[5, 10] == 10, "the cow was drawn after the background"
    assert scribbles[5, 5] == 0
    assert np.count_nonzero(scribbles != 255) == 3 * 19 + 3 * 21 - 9


def test_a_polyline_of_one_point_is_a_dot(sources):
    (sources / "xml" / f"{SBD[0]}.xml").write_text(
        "<annotation><size><width>32</width><height>24</height></size><polygon><tag>dog</tag>"
        "<point><X>20</X><Y>11</Y></point></polygon></annotation>"
    )
    scribbles = labels(convert(sources, "--partial"), "pascal_2012_scribble", SBD[0])
    rows, columns = np.nonzero(scribbles == 12)
    assert len(rows) == 9 and (rows.mean(), columns.mean()) == (11, 20)


def test_label_maps_get_the_palette_of_voc(sources):
    out = convert(sources, "--partial")
    for folder in ("SegmentationClassAug", "pascal_2012_scribble"):
        with Image.open(out / folder / f"{TRAIN[0]}.png") as image:
            assert image.mode == "P"
            assert image.getpalette()[30:33] == [64, 128, 0]  # cow


def test_sources_may_be_tars_and_scribbles_pngs_and_masks_of_sbd_itself(sources):
    with tarfile.open(sources / "voc.tar", "w") as tar:
        tar.add(sources / "VOCdevkit", "VOCdevkit")
    for name in (*TRAIN, *SBD):
        grey(sources / "png" / f"{name}.png", np.where(mask(7) == 7, 7, 255).astype(np.uint8))
        for folder, label in (("cls", 12), ("inst", 1)):
            path = sources / "sbd" / "dataset" / folder / f"{name}.mat"
            path.parent.mkdir(parents=True, exist_ok=True)
            savemat(path, {"GTcls": {"Segmentation": mask(label)}})
    with tarfile.open(sources / "benchmark.tgz", "w:gz") as tar:
        tar.add(sources / "sbd", "benchmark_RELEASE")
    out = convert(sources, "--partial", voc="voc.tar", masks="benchmark.tgz", xml="png")
    assert np.array_equal(labels(out, "SegmentationClassAug", SBD[0]), mask(12))
    assert np.count_nonzero(labels(out, "pascal_2012_scribble", SBD[0]) == 7) == 100
    assert len(PascalScribbleDataset(out)) == 3
    shutil.rmtree(out)
    out = convert(sources, "--partial", masks="sbd/dataset/cls", xml="png")
    assert np.array_equal(labels(out, "SegmentationClassAug", SBD[0]), mask(12))


@pytest.mark.parametrize(
    "options, drawn", [(["--reduce-zero-label"], 7), (["--ignore-index", "0"], 8)]
)
def test_0_may_stand_for_unlabelled_in_pngs_of_the_scribbles(sources, options, drawn):
    for name in (*TRAIN, *SBD):
        grey(sources / "png" / f"{name}.png", np.where(mask(7) == 7, 8, 0).astype(np.uint8))
    scribbles = labels(
        convert(sources, "--partial", *options, xml="png"), "pascal_2012_scribble", SBD[0]
    )
    found, pixels = np.unique(scribbles, return_counts=True)
    assert found.tolist() == [drawn, 255] and pixels[0] == 100


def test_another_year_of_voc_beside_it_does_no_harm(sources):
    for year in range(2007, 2012):
        lists = sources / "VOCdevkit" / f"VOC{year}" / "ImageSets" / "Segmentation"
        lists.mkdir(parents=True)
        for split in ("train", "val"):
            (lists / f"{split}.txt").write_text("000032\n")
    ids = (convert(sources, "--partial") / "ImageSets/Segmentation/val.txt").read_text()
    assert ids.split() == list(VAL)


def test_a_part_of_the_data_is_what_all_sources_have(sources):
    (sources / "xml" / f"{TRAIN[0]}.xml").unlink()
    (sources / "VOCdevkit/VOC2012/JPEGImages" / f"{SBD[0]}.jpg").unlink()
    ids = (convert(sources, "--partial") / "ImageSets/Segmentation/train_aug.txt").read_text()
    assert ids.split() == [TRAIN[1]]


def test_counts_are_held_to_those_of_the_full_data_set(sources, capsys):
    message = refused(sources)
    assert "3 train and 1 val" in message
    assert "10,582 train and 1,449 val" in message and "--partial" in message
    assert "Converting" not in capsys.readouterr().out


def test_says_where_to_get_each_missing_source(tmp_path):
    with pytest.raises(SystemExit) as stop:
        pascal_scribble.main(["--out", str(tmp_path / "out"), "--voc", str(tmp_path / "voc.tar")])
    message = str(stop.value)
    assert f"--voc: {tmp_path}/voc.tar does not exist" in message
    assert "--masks: not named" in message and "--scribbles: not named" in message
    for words in ("VOCtrainval_11-May-2012.tar", "SegmentationClassAug", "ScribbleSup"):
        assert words in message
    assert list(tmp_path.iterdir()) == []


def broken_image(root: Path) -> None:
    path = root / "VOCdevkit/VOC2012/JPEGImages" / f"{SBD[0]}.jpg"
    path.write_bytes(path.read_bytes()[:-200])


def other_size(root: Path) -> None:
    write_image(root / "VOCdevkit/VOC2012/JPEGImages" / f"{SBD[0]}.jpg", (32, 24))


def strange_label(root: Path) -> None:
    grey(root / "SegmentationClassAug" / f"{SBD[0]}.png", mask(77))


def coloured_mask(root: Path) -> None:
    write_image(root / "SegmentationClassAug" / f"{SBD[0]}.png")


def broken_mat(root: Path) -> None:
    (root / "SegmentationClassAug" / f"{SBD[0]}.png").unlink()
    (root / "SegmentationClassAug" / "cls").mkdir()
    (root / "SegmentationClassAug" / "cls" / f"{SBD[0]}.mat").write_bytes(b"no MAT file" * 20)


def change_xml(old: str, new: str):
    def change(root: Path) -> None:
        path = root / "xml" / f"{SBD[0]}.xml"
        path.write_text(path.read_text().replace(old, new))

    return change


def png_too_large(root: Path) -> None:
    """A header of 20,000 x 20,000 pixels, of which Pillow thinks that they are an attack."""
    path = root / "SegmentationClassAug" / f"{SBD[0]}.png"
    data = bytearray(path.read_bytes())
    data[16:24] = (20_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)


def mask_of_16_bits(root: Path) -> None:
    Image.fromarray(mask(1).astype(np.uint16) * 300).save(
        root / "SegmentationClassAug" / f"{SBD[0]}.png"
    )


def mat_of_colours(root: Path) -> None:
    (root / "SegmentationClassAug" / f"{SBD[0]}.png").unlink()
    (root / "SegmentationClassAug" / "cls").mkdir()
    path = root / "SegmentationClassAug" / "cls" / f"{SBD[0]}.mat"
    savemat(path, {"GTcls": {"Segmentation": "no array"}})


@pytest.mark.parametrize(
    "damage, words",
    [
        (broken_image, "2008_000003.jpg is unreadable"),
        (other_size, "the mask has (24, 32) pixels, the image (32, 24)"),
        (strange_label, "the mask has the labels [77]"),
        (broken_mat, "2008_000003.mat is not a mask of SBD"),
        (coloured_mask, "has the channels RGB"),
        (change_xml("cow", "unicorn"), "unknown class 'unicorn'"),
        (change_xml("</annotation>", ""), "the XML is broken"),
        (change_xml("<width>32</width>", ""), "'' for size/width, not a number"),
        (change_xml("<X>4</X>", "<X>four</X>"), "'four' for X, not a number"),
        (png_too_large, "2008_000003.png is unreadable: DecompressionBombError"),
        (mask_of_16_bits, "label 300, where labels are whole numbers from 0 to 255"),
        (mat_of_colours, "2008_000003.mat is not a mask of SBD"),
        (change_xml("<annotation>", '<?xml version="1.0" encoding="no-such"?><annotation>'), "XML"),
        (change_xml("<X>4</X>", "<X>inf</X>"), "'inf' for X, not a number"),
        (change_xml("<X>4</X>", "<X>1e999</X>"), "'1e999' for X, not a number"),
        (change_xml("<width>32", "<width>-32"), "the size (24, -32) (height, width), which no"),
        (change_xml("<width>32", "<width>32000000000"), "which no image has"),
        (change_xml("<height>24", "<height>25"), "the scribble has (25, 32) pixels"),
        (change_xml("<polygon><tag>cow", "<polygon></polygon><polygon><tag>cow"), "class ''"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_file_is_checked(sources, damage, words):
    damage(sources)
    message = refused(sources, "--partial")
    assert message.startswith("1 images cannot be used, nothing was kept:\n  2008_000003: ")
    assert words in message


@pytest.mark.parametrize(
    "x, columns",
    [
        ("0", range(2)),
        ("31", [30, 31]),
        ("32", [30, 31]),
        ("40", [30, 31]),
        ("-7", range(2)),
        (str(2**32 + 5), [30, 31]),
        (f"-{10**30}", range(2)),
    ],
)
def test_points_count_from_0_and_those_outside_lie_on_the_border(sources, x, columns):
    """As ScribbleSup's own readspots.m has them: docs/data.md quotes it."""
    (sources / "xml" / f"{SBD[0]}.xml").write_text(
        "<annotation><size><width>32</width><height>24</height></size><polygon><tag>dog</tag>"
        f"<point><X>{x}</X><Y>11</Y></point></polygon></annotation>"
    )
    scribbles = labels(convert(sources, "--partial"), "pascal_2012_scribble", SBD[0])
    rows, drawn = np.nonzero(scribbles == 12)
    assert set(drawn.tolist()) == set(columns) and set(rows.tolist()) == {10, 11, 12}


def test_scribbles_of_other_classes_and_the_files_of_macos_are_left_out(sources):
    for name in SBD:
        for folder in ("pascal_context", "pascal_2007"):
            path = sources / "all" / folder / f"{name}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(XML.format(height=SIZE[0], width=SIZE[1]).replace("cow", "grass"))
    shutil.copytree(sources / "xml", sources / "all" / "pascal_2012")
    for folder in ("all/pascal_2012", "SegmentationClassAug", "VOCdevkit/VOC2012/JPEGImages"):
        for path in list((sources / folder).iterdir()):
            path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7 Mac OS X")
    out = convert(sources, "--partial", xml="all")
    assert np.unique(labels(out, "pascal_2012_scribble", SBD[0])).tolist() == [0, 10, 255]
    ids = (out / "ImageSets/Segmentation/train_aug.txt").read_text().split()
    assert ids == [*TRAIN, *SBD]


def test_two_different_files_of_one_name_are_refused_and_equal_ones_are_not(sources):
    first, second = (sources / "SegmentationClassAug" / name for name in ("a", "b"))
    for folder in (first, second):
        grey(folder / f"{SBD[0]}.png", mask(3))
    (sources / "SegmentationClassAug" / f"{SBD[0]}.png").unlink()
    out = convert(sources, "--partial")
    assert np.array_equal(labels(out, "SegmentationClassAug", SBD[0]), mask(3))
    shutil.rmtree(out)
    grey(second / f"{SBD[0]}.png", mask(4))
    message = refused(sources, "--partial")
    assert f"more than one {SBD[0]}.png: a/{SBD[0]}.png and b/{SBD[0]}.png" in message


@pytest.mark.parametrize("name", ["VOC2007_and_2012", "VOC2010"])
def test_a_path_may_hold_another_year(sources, name):
    (sources / name).mkdir()
    (sources / "VOCdevkit").rename(sources / name / "VOCdevkit")
    out = convert(sources, "--partial", voc=f"{name}/VOCdevkit")
    assert len(PascalScribbleDataset(out)) == 3
    shutil.rmtree(out)
    with tarfile.open(sources / "voc.tar", "w") as tar:
        tar.add(sources / name / "VOCdevkit", f"{name}/VOCdevkit")
    assert len(PascalScribbleDataset(convert(sources, "--partial", voc="voc.tar"))) == 3


def test_links_in_a_circle_and_pipes_end(sources):
    folder = sources / "SegmentationClassAug"
    for name in ("x", "y"):
        (folder / name).symlink_to(folder)
    os.mkfifo(folder / "2010_000001.png")
    os.mkfifo(sources / "VOCdevkit" / "VOC2012" / "JPEGImages" / "2010_000001.jpg")
    assert len(PascalScribbleDataset(convert(sources, "--partial"))) == 3


def test_a_source_that_is_a_pipe_is_refused(sources):
    os.mkfifo(sources / "pipe")
    assert "--voc: " in (message := refused(sources, voc="pipe"))
    assert "pipe is neither a file nor a folder" in message


def test_a_folder_behind_a_link_is_read(sources):
    images = sources / "VOCdevkit" / "VOC2012" / "JPEGImages"
    images.rename(sources / "disk")
    images.symlink_to(sources / "disk")
    assert len(PascalScribbleDataset(convert(sources, "--partial"))) == 3


@pytest.mark.parametrize("cut", [False, True])
def test_a_tar_with_a_damaged_header_is_not_taken_for_a_shorter_one(sources, cut):
    with tarfile.open(sources / "voc.tar", "w") as tar:
        tar.add(sources / "VOCdevkit", "VOCdevkit")
    with tarfile.open(sources / "voc.tar") as tar:
        offsets = [member.offset for member in tar]
    data = bytearray((sources / "voc.tar").read_bytes())
    half = offsets[len(offsets) // 2]
    data[half] ^= 0xFF
    (sources / "voc.tar").write_bytes(data[:half] if cut else data)
    message = refused(sources, "--partial", voc="voc.tar")
    assert f"voc.tar is damaged at byte {half}" in message


def test_sources_without_an_image_in_common_are_reported(sources):
    shutil.rmtree(sources / "xml")
    (sources / "xml").mkdir()
    assert "no image in common" in refused(sources, "--partial")


@pytest.mark.parametrize("out", ["out", "out/below"])
def test_a_result_on_a_disk_that_is_not_there_is_refused_at_the_start(sources, out, capsys):
    (sources / "out").symlink_to(sources / "not_mounted")
    with pytest.raises(SystemExit):
        convert(sources, "--partial", "--out", str(sources / out))
    shown = capsys.readouterr()
    assert "out is a link to" in shown.err and "is its disk mounted?" in shown.err
    assert "Converting" not in shown.out


def test_a_tar_that_broke_off_is_reported(sources):
    with tarfile.open(sources / "voc.tgz", "w:gz") as tar:
        tar.add(sources / "VOCdevkit", "VOCdevkit")
    whole = (sources / "voc.tgz").read_bytes()
    (sources / "voc.tgz").write_bytes(whole[: len(whole) // 2])
    assert "end-of-stream" in refused(sources, voc="voc.tgz")


def test_a_file_that_is_not_a_tar_is_reported(sources):
    (sources / "voc.tar").write_bytes(b"no tar")
    assert "not be opened" in refused(sources, voc="voc.tar")


def test_a_second_run_says_that_it_is_complete_and_leaves_it_alone(sources, capsys):
    out = convert(sources, "--partial")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    shutil.rmtree(sources / "VOCdevkit")  # no longer needed
    convert(sources, "--partial")
    assert "complete" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.parametrize(
    "path", ["JPEGImages/2007_000004.jpg", "SegmentationClassAug/2008_000003.png", "ImageSets"]
)
def test_a_result_that_lacks_something_is_not_complete(sources, path):
    out = convert(sources, "--partial")
    lost = out / path
    shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    with pytest.raises(SystemExit, match="not complete"):
        convert(sources, "--partial")


def test_nothing_is_left_of_an_interrupted_run(sources):
    folders = {
        "xml": ".xml",
        "SegmentationClassAug": ".png",
        "VOCdevkit/VOC2012/JPEGImages": ".jpg",
    }
    for folder, suffix in folders.items():
        for i in range(300):  # enough to be interrupted in
            link = sources / folder / f"2010_{i:06}{suffix}"
            link.hardlink_to(sources / folder / f"{SBD[0]}{suffix}")
    stopper = threading.Thread(target=interrupt_when_it_has_begun, args=[sources], daemon=True)
    stopper.start()
    with pytest.raises(KeyboardInterrupt):
        convert(sources, "--partial")
    assert not list(sources.glob("out*"))


def interrupt_when_it_has_begun(root: Path) -> None:
    while not list(root.glob("out*/JPEGImages/*.jpg")):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C does
