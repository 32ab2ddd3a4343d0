"""What a config says of its data, whichever kind of data set it has."""

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from mmseg_rloss.datasets.config_data import data_of, label_folder, metainfo_of

CLASSES = dict(classes=("ground", "leaf"), palette=[[0, 0, 0], [40, 160, 60]])


def config(dataset: dict, pipeline: list | None = None, **more: object) -> Config:
    return Config(
        dict(train_dataloader=dict(dataset=dataset | dict(pipeline=pipeline or [])), **more)
    )


@pytest.fixture
def root(tmp_path):
    for folder in ("images/sub", "labels/sub"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("a", "sub/a"):
        Image.new("RGB", (4, 3)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(np.full((3, 4), 7, np.uint8)).save(tmp_path / "labels" / f"{name}.png")
    return tmp_path


def own(root, kind, **arguments):
    folders = dict(img_path="images", seg_map_path="labels")
    return dict(type=kind, data_root=str(root), data_prefix=folders, metainfo=CLASSES, **arguments)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("kind", ["ScribbleDataset", "BaseSegDataset"])
def test_images_labels_classes_and_colours(root, kind, wrapped):
    dataset = own(root, kind, img_suffix=".png", ignore_index=7)
    loading = [dict(type="LoadRegionOfInterest", ignore_index=7)]
    if wrapped:
        inner = dataset | dict(pipeline=loading)
        dataset = dict(type="RepeatDataset", times=2, dataset=dict(type="ConcatDataset"))
        dataset["dataset"]["datasets"] = [inner]
    data = data_of(config(dataset, loading), "train")
    assert {name: path.relative_to(root).as_posix() for name, path in data.images.items()} == {
        "a": "images/a.png",
        "sub/a": "images/sub/a.png",
    }
    labels, _ = data.maps.read("sub/a")
    assert (labels == 255).all(), "7 stands for unlabelled"
    assert data.classes == CLASSES["classes"]
    assert data.palette.tolist() == CLASSES["palette"]
    assert label_folder(config(dataset), "train") == root / "labels"


def test_chosen_classes_of_voc_are_numbered_as_the_network_numbers_them(root):
    for folder in ("JPEGImages", "pascal_2012_scribble", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    (root / "ImageSets/Segmentation/train_aug.txt").write_text("a\n")
    labels = np.array([[0, 15, 4, 255]], np.uint8)
    Image.fromarray(labels).save(root / "pascal_2012_scribble" / "a.png")
    metainfo = dict(classes=("background", "person"))
    voc = config(dict(type="PascalScribbleDataset", data_root=str(root), metainfo=metainfo))
    data = data_of(voc, "train")
    assert data.maps.read("a")[0].tolist() == [[0, 1, 255, 255]]
    assert data.palette.tolist() == [[0, 0, 0], [192, 128, 128]]
    assert metainfo_of(voc)[1].tolist() == data.palette.tolist()


def test_classes_are_reported_without_the_data():
    classes, palette = metainfo_of(config(own("nowhere", "ScribbleDataset")))
    assert (classes, palette.tolist()) == (CLASSES["classes"], CLASSES["palette"])
    assert metainfo_of(Config(dict())) is None
    with pytest.raises(ValueError, match="no data set in val_dataloader"):
        data_of(config(own("nowhere", "ScribbleDataset")), "val")
