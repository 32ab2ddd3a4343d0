"""What a network gets right once the classes of each image are known."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from PIL import Image

from benchmarks import class_confusion
from tools import make_sample_dataset

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs/deeplabv3plus_mobilenet_scribble_self_label_sample.py"

# background, boat, bottle, cow, potted plant, sheep, TV monitor
CLASSES = [0, 4, 5, 10, 16, 17, 20]


def save_network_that_prefers_later_classes(path: Path) -> None:
    """Its logit of class k is k everywhere."""
    init_default_scope("mmseg")
    config = Config.fromfile(CONFIG)
    config.model.pretrained = None
    weights = MODELS.build(config.model).state_dict()
    weights["decode_head.conv_seg.weight"].zero_()
    weights["decode_head.conv_seg.bias"].copy_(torch.arange(7.0))
    torch.save(dict(meta={}, state_dict=weights), path)


def rates(predictions: list[np.ndarray], masks: list[np.ndarray]) -> tuple[float, float]:
    """mIoU and mean accuracy by class in per cent, counted class by class."""
    prediction, mask = (
        np.concatenate([a.ravel() for a in images]) for images in (predictions, masks)
    )
    known = mask != 255
    prediction, mask = prediction[known], mask[known]
    ious, accuracies = [], []
    for k in np.union1d(prediction, mask):
        both = np.sum((prediction == k) & (mask == k))
        ious.append(both / np.sum((prediction == k) | (mask == k)))
        if (mask == k).any():
            accuracies.append(both / np.sum(mask == k))
    return 100 * np.mean(ious), 100 * np.mean(accuracies)


def test_the_classes_of_an_image_are_known_or_not(tmp_path):
    data, checkpoint, file = tmp_path / "data", tmp_path / "w.pth", tmp_path / "figures.json"
    make_sample_dataset.main(["--out", str(data), "--train", "1", "--val", "8"])
    save_network_that_prefers_later_classes(checkpoint)
    options = ["--json", str(file), "--cfg-options", f"val_dataloader.dataset.data_root={data}"]
    class_confusion.main([str(CONFIG), str(checkpoint), *options])

    label_of_class = np.full(256, 255, np.uint8)  # of the classes of PASCAL VOC
    label_of_class[CLASSES] = np.arange(7)
    names = (data / "ImageSets/Segmentation/val.txt").read_text().split()
    files = [Image.open(data / f"SegmentationClassAug/{name}.png") for name in names]
    masks = [label_of_class[np.array(file)] for file in files]
    latest = [np.full_like(mask, mask[mask != 255].max()) for mask in masks]
    last = [np.full_like(mask, 6) for mask in masks]
    assert any((mask == 6).any() for mask in masks) and not all((mask == 6).any() for mask in masks)
    figures = json.loads(file.read_text())["figures"]
    for way, predictions in (("all classes", last), ("classes of the image known", latest)):
        miou, accuracy = rates(predictions, masks)
        assert figures[way] == pytest.approx(dict(miou=miou, accuracy=accuracy))
