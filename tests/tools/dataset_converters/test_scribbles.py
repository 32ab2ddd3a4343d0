"""Exports of annotation tools, written here after their documentation, and what becomes of them."""

import json
import os
import re
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from mmseg_rloss.datasets import ScribbleDataset
from mmseg_rloss.datasets.converters.coco import unpacked
from tests.engine.training import PIPELINE, logged, train, training_config
from tests.tools.dataset_converters.exports import (
    ALL,
    AREA,
    CLASSES,
    COLOURS,
    EXPORTS,
    ID,
    LINE,
    POINT,
    SIZE,
    VARIANTS,
    coco,
    export_brush,
    export_colours,
    export_cvat,
    export_cvats_masks,
    export_labelme,
    export_nifti,
    holed_png,
    in_colours,
    in_three_channels,
    labelme,
    labels_of,
    packed,
    rle_pack,
    save,
    scribbles4all,
    shape,
    write,
)
from tests.tools.network import write_image
from tools.dataset_converters import scribbles


@pytest.fixture
def images(tmp_path) -> Path:
    """Two images, of which one is annotated."""
    for name in (f"{ID}.jpg", "other.tif"):
        write_image(tmp_path / "images" / name, SIZE)
    return tmp_path / "images"


def convert(kind: str, export: Path, *options: object) -> Path:
    """Convert an export whose images lie beside it, and return the folder."""
    out = export.parent / "data set"
    if not {"--images", "--dry-run"} & set(options):
        options = (*options, "--images", export.parent / "images")
    scribbles.main([kind, str(export), "--out", str(out), *map(str, options)])
    return out


def train_on(out: Path, num_classes: int) -> None:
    """Train for two iterations on what was converted."""
    config = training_config(out.parent, out.parent / "work")
    config["load_from"] = None
    config["train_dataloader"]["dataset"] = dict(
        type="ScribbleDataset",
        data_root=str(out),
        ann_file="train.txt",
        metainfo=dict(classes=str(out / "classes.txt")),
        pipeline=PIPELINE,
    )
    config["model"]["decode_head"]["num_classes"] = num_classes
    runner = train(config)
    assert runner.iter == 2
    assert np.isfinite(logged(runner, "decode.loss_ce")).all()


def check(out: Path, expected: np.ndarray, palette: list | None = None) -> None:
    """See that ScribbleDataset reads the one image with the labels expected."""
    classes = str(out / "classes.txt")
    images = ScribbleDataset(
        out,
        metainfo=dict(classes=classes),
        ann_file="train.txt",
        pipeline=[dict(type="LoadImageFromFile"), dict(type="mmseg.LoadAnnotations")],
    )
    assert list(images.metainfo["classes"]) == CLASSES
    (item,) = images
    assert np.array_equal(item["gt_seg_map"], expected)
    assert Path(item["img_path"]).stem == Path(item["seg_map_path"]).stem
    with Image.open(item["seg_map_path"]) as image:
        assert palette is None or image.getpalette()[:6] == palette


@pytest.mark.parametrize("export", EXPORTS)
def test_what_was_drawn_in_any_tool_is_converted_and_trained_on(tmp_path, images, export):
    form, path, options = export(tmp_path)
    out = convert(form, path, *options)
    check(out, ALL)
    train_on(out, len(CLASSES))


@pytest.mark.parametrize("export", VARIANTS)
def test_what_was_drawn_is_converted_in_the_other_forms_of_a_format(tmp_path, images, export):
    form, path, options = export(tmp_path)
    check(convert(form, path, *options), ALL)


@pytest.mark.parametrize("kind", ["s4Pascal", "s4Cityscapes", "s4ADE20K"])
def test_scribbles_for_all_are_converted_and_trained_on(tmp_path, kind):
    (form, path, _), names = scribbles4all(kind, tmp_path)
    out = convert(form, path)
    classes = (out / "classes.txt").read_text().splitlines()
    assert len(classes) == dict(s4Pascal=21, s4Cityscapes=19, s4ADE20K=150)[kind]
    (label,) = (out / "scribbles").rglob("*.png")
    with Image.open(label) as image:
        labels = np.array(image)
    for mark, name in names.items():
        assert np.array_equal(labels == classes.index(name), mark == ALL)
    assert np.array_equal(labels == 255, ALL == 255)
    assert [path.with_suffix("").name for path in (out / "images").rglob("*.*")] == [label.stem]
    train_on(out, len(classes))


def test_scribbles_for_all_that_are_not_theirs_are_reported(tmp_path):
    _, path, _ = scribbles4all("s4Pascal", tmp_path)[0]
    save(path / "2007_000033.png", in_three_channels(np.full(SIZE, 21)))
    save(path / "2007_000039.png", in_colours(ALL))
    save(path / "other.png", in_colours(ALL))
    with pytest.raises(SystemExit) as stop:
        convert("scribbles4all", path)
    for part in (
        "000033.png: label 21, which the data set does not have",
        "000039.png: it holds colours",
        "other.png: it is not named as the first",
    ):
        assert part in str(stop.value)
    save(tmp_path / "neither" / "a.png", in_colours(ALL))
    with pytest.raises(SystemExit, match="is named as in none of s4Pascal, s4Cityscapes, s4ADE20K"):
        convert("scribbles4all", tmp_path / "neither")


def test_strokes_whose_images_are_not_known(tmp_path, images):
    form, path, _ = export_brush(tmp_path)
    (path / "project.json").write_text("[]")
    with pytest.raises(SystemExit, match="task 1: the JSON beside it has no task 1"):
        convert(form, path, "--classes", *CLASSES)
    (path / "project.json").unlink()
    with pytest.raises(SystemExit, match="does not say which image each task is of: put the pro"):
        convert(form, path)
    save(path / "mask.png", in_colours(ALL))
    with pytest.raises(SystemExit, match=r"mask\.png is not named as Label Studio names"):
        convert(form, path)


def test_classes_and_colours_are_printed_for_the_config_and_counted(tmp_path, images, capsys):
    form, path, _ = export_labelme(tmp_path)
    convert(form, path)
    printed = capsys.readouterr().out
    assert (
        "metainfo = dict(classes=('ground', 'leaf'), palette=[[0, 0, 0], [128, 0, 0]])" in printed
    )
    (row,) = re.findall(r"leaf +1 +2 +(\d+)", printed)
    assert int(row) == np.count_nonzero(ALL == 1)


@pytest.mark.parametrize("export", [export_cvat, export_cvats_masks, export_colours])
def test_colours_are_those_of_the_tool(tmp_path, images, export):
    form, path, options = export(tmp_path)
    check(convert(form, path, *options), ALL, [*COLOURS["ground"], *COLOURS["leaf"]])


def test_slices_are_named_and_shown_in_grey_levels(tmp_path):
    form, path, options = export_nifti(tmp_path)
    out = convert(form, path, *options)
    assert (out / "train.txt").read_text() == "p.1_001\n"  # the other slice has no mark
    image = np.linspace(-50, 300, 2 * ALL.size).reshape(2, *SIZE)
    with Image.open(out / "images" / "p.1_001.png") as picture:
        levels = (image[1] + 50) / 350 * 255
        assert np.abs(np.array(picture) - levels).max() <= 0.51


def test_other_shapes_of_labelme(tmp_path, images):
    drawn = labelme(
        shape("ground", "line", LINE),
        shape("leaf", "rectangle", [AREA[2], AREA[0]]),
        shape("leaf", "circle", [[20.5, 5.5], [20.5, 8.4]]),
    )
    write(tmp_path / "json" / "a.json", drawn)
    expected = labels_of("line", "area")
    rows, columns = np.indices(SIZE)
    disc = (rows - 5) ** 2 + (columns - 20) ** 2 <= 8
    out = convert("labelme", tmp_path / "json")
    with Image.open(out / "scribbles" / f"{ID}.png") as image:
        labels = np.array(image)
    assert np.array_equal(labels[10:], expected[10:])
    assert (labels[disc] == 1).all()


def test_a_mask_that_no_image_could_have_is_reported(tmp_path, images):
    """It would take 10 GB."""
    drawn = coco([10**10])
    drawn["images"][0] |= dict(height=10**5, width=10**5)
    drawn["annotations"][3]["segmentation"]["size"] = [10**5, 10**5]
    write(tmp_path / "coco.json", drawn)
    with pytest.raises(SystemExit, match="a mask is 100000x100000, which no image is"):
        convert("coco", tmp_path / "coco.json")


def test_runs_of_coco_are_unpacked_as_they_were_packed():
    counts = [0, 3, 1000, 2, 40000, 1, 1, 17, 15, 16]
    assert unpacked(packed(counts)) == counts


def test_a_colour_that_the_palette_lacks_is_reported_with_its_place(tmp_path, images):
    drawn = in_colours(ALL)
    drawn[7, 11] = 1, 2, 3
    save(tmp_path / "drawn" / f"{ID}.png", drawn)
    palette = write(tmp_path / "palette.txt", "ground 200 10 20\nleaf 0 160 60\nvoid 0 0 0\n")
    told = r"v1\.png: 1 pixels .* such as 1 2 3 at x=11, y=7.* unlabelled"
    with pytest.raises(SystemExit, match=told):
        convert("colours", tmp_path / "drawn", "--palette", palette)


def test_volumes_that_cannot_be_whole_are_reported(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "drawn").mkdir()
    volume = nibabel.Nifti1Image(np.zeros((64, 64, 8), np.uint8), np.eye(4))
    for name in ("broken", "huge"):
        nibabel.save(volume, tmp_path / f"images/{name}.nii")
        nibabel.save(volume, tmp_path / f"drawn/{name}_scribble.nii")
    broken, huge = (tmp_path / f"drawn/{name}_scribble.nii" for name in ("broken", "huge"))
    broken.write_bytes(broken.read_bytes()[:-20000])
    header = huge.read_bytes()
    sizes = np.array([20000, 20000, 8], "<i2").tobytes()  # 3.2 GB
    huge.write_bytes(header[:42] + sizes + header[48:])
    with pytest.raises(SystemExit) as stop:
        convert("volume", tmp_path / "drawn", "--classes", *CLASSES)
    assert re.search(r"broken_scribble\.nii: unreadable", str(stop.value))
    assert re.search(r"huge_.*announces 3,200,000,000 bytes", str(stop.value))


def test_a_library_that_lacks_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "a.h5").touch()
    with pytest.raises(SystemExit, match=r"a\.h5: these volumes need h5py: pip install h5py"):
        convert("volume", tmp_path / "a.h5", "--classes", "a", "--images", tmp_path)


def test_all_that_is_wrong_is_reported_and_nothing_is_kept(tmp_path, images, capsys):
    good = labelme(shape("ground", "line", LINE))
    write(tmp_path / "json" / "good.json", good)
    write(tmp_path / "json" / "again.json", good)
    write(tmp_path / "json" / "absent.json", good | dict(imagePath="nowhere.jpg"))
    write(tmp_path / "json" / "size.json", good | dict(imagePath="other.tif", imageWidth=31))
    write(tmp_path / "json" / "broken.json", "{")
    write(tmp_path / "json" / "kind.json", labelme(shape("leaf", "cuboid", LINE)))
    told = (
        "good.json: .*again.json is of an image of the same name",
        "absent.json: .*images holds no image nowhere.jpg",
        r"size.json: it was drawn on \(20, 31\), but its image has \(20, 30\)",
        "broken.json: not JSON",
        "kind.json: a shape of 'leaf' is a cuboid",
    )
    for options, end in (([], "nothing was kept"), (["--dry-run"], "cannot be used")):
        with pytest.raises(SystemExit) as stop:
            convert("labelme", tmp_path / "json", *options, "--images", images)
        assert str(stop.value).startswith("5 annotations") and end in str(stop.value)
        for part in told:
            assert re.search(part, str(stop.value)), part
        assert not list(tmp_path.glob("data set*"))
    with pytest.raises(SystemExit, match="5 annotations were left out"):
        convert("labelme", tmp_path / "json", "--partial")
    assert os.listdir(tmp_path / "data set" / "images") == [f"{ID}.jpg"]


def test_a_dry_run_counts_and_a_second_run_does_nothing(tmp_path, images, capsys):
    drawn = labelme(shape("ground", "line", LINE), shape("leaf", "points", [POINT]))
    write(tmp_path / "json" / "a.json", drawn)
    convert("labelme", tmp_path / "json", "--dry-run", "--images", images)
    assert re.search(r"ground +1 +1 +39 +6\.50%", capsys.readouterr().out)
    assert not (tmp_path / "data set").exists()
    out = convert("labelme", tmp_path / "json", "--link")
    assert (out / "images" / f"{ID}.jpg").is_symlink()
    before = (out / "scribbles" / f"{ID}.png").stat().st_mtime_ns
    convert("labelme", tmp_path / "json")
    assert "nothing was done" in " ".join(capsys.readouterr().out.split())
    assert (out / "scribbles" / f"{ID}.png").stat().st_mtime_ns == before


def test_an_image_is_the_one_of_its_path_before_others_of_its_name(tmp_path):
    for name in ("a.png", "sub/a.png", "x/b.png", "y/b.png"):
        write_image(tmp_path / "images" / name, SIZE)
    drawn = labelme(shape("ground", "points", [[3, 4], [29.9, 19.9], [-5, 99]]))
    write(tmp_path / "json" / "a.json", drawn | dict(imagePath="a.png"))
    write(tmp_path / "json" / "b.json", drawn | dict(imagePath="b.png"))
    with pytest.raises(SystemExit, match=r"x/b\.png and .*y/b\.png may be its image"):
        convert("labelme", tmp_path / "json", "--partial", "--width", 1)
    assert (tmp_path / "data set" / "train.txt").read_text() == "a\n"
    with Image.open(tmp_path / "data set" / "scribbles" / "a.png") as image:
        drawn_at = np.argwhere(np.array(image) != 255).tolist()
    assert drawn_at == [[4, 3], [19, 0], [19, 29]], "what lies outside is moved to the border"


def places(value: object) -> list[tuple]:
    """Every container in a JSON document, with each of its keys."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    found = [(value, key) for key in keys]
    for key in keys:
        if isinstance(value[key], (dict, list)):
            found += places(value[key])
    return found


def exported(kind: str) -> object:
    """A document of a tool."""
    if kind == "coco":
        return json.loads(json.dumps(coco(packed([SIZE[0] * SIZE[1]]))))
    if kind == "labelme":
        mask = shape("leaf", "mask", [[3, 14], [7, 17]], mask=holed_png())
        return json.loads(json.dumps(labelme(shape("ground", "line", LINE), mask)))
    sizes = dict(original_height=SIZE[0], original_width=SIZE[1])
    packed_brush = rle_pack(np.zeros(SIZE[0] * SIZE[1] * 4, np.uint8))
    brush = dict(type="brushlabels", value=dict(brushlabels=["leaf"], rle=packed_brush), **sizes)
    point = dict(type="keypointlabels", value=dict(keypointlabels=["leaf"], x=1, y=2), **sizes)
    return [dict(id=1, data=dict(image=f"{ID}.jpg"), annotations=[dict(result=[brush, point])])]


@pytest.mark.parametrize("kind", ["labelme", "coco", "label-studio"])
def test_documents_of_something_else_are_reported_without_a_traceback(tmp_path, images, kind):
    junk = (None, "x", -1, 2**40, 1e300, float("nan"), [], {}, [None], True)
    random = np.random.default_rng(0)
    for _ in range(60):
        document = exported(kind)
        for _ in range(int(random.integers(1, 3))):
            spots = places(document)
            container, key = spots[int(random.integers(len(spots)))]
            container[key] = junk[int(random.integers(len(junk)))]
        write(tmp_path / "export.json", document)
        try:
            convert(kind, tmp_path / "export.json", "--dry-run", "--images", images)
        except SystemExit as stop:
            assert "export.json" in str(stop) or "classes" in str(stop)


def test_every_nth_image_is_to_validate_on(tmp_path):
    for i in range(5):
        write_image(tmp_path / "images" / f"{i}.png", SIZE)
        drawn = labelme(shape("ground", "line", LINE)) | dict(imagePath=f"{i}.png")
        write(tmp_path / "json" / f"{i}.json", drawn)
    out = convert("labelme", tmp_path / "json", "--val-every", 2)
    assert (out / "val.txt").read_text().split() == ["1", "3"]
    assert (out / "train.txt").read_text().split() == ["0", "2", "4"]
