"""compare_losses: its measures against hand-made cases, and a whole comparison in miniature."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from tools import compare_losses, make_sample_dataset

CONFIG = Path(__file__).parents[2] / "configs" / "deeplabv3plus_mobilenet_scribble_sample.py"


def load() -> Config:
    init_default_scope("mmseg")
    return Config.fromfile(CONFIG)


def test_the_variants_differ_in_losses_and_labels():
    variants = {name: compare_losses.vary(load(), name, seed=3) for name in compare_losses.VARIANTS}
    losses = {
        name: [loss.type for loss in config.model.decode_head.loss_decode]
        for name, config in variants.items()
    }
    assert losses == {
        "ce": ["CrossEntropyLoss"],
        "densecrf": ["CrossEntropyLoss", "DenseCRFLoss"],
        "mask": ["CrossEntropyLoss"],
    }
    labels = [variants[name].train_dataloader.dataset.labels for name in ("ce", "densecrf", "mask")]
    assert labels == ["scribble", "scribble", "mask"]
    assert all(config.randomness.seed == 3 for config in variants.values())
    hooks = [len(variants[name].custom_hooks) for name in ("ce", "densecrf", "mask")]
    assert hooks == [0, 1, 0]


def test_distance_to_boundary_counts_pixels_from_the_nearest_change_of_label():
    mask = np.zeros((3, 8), int)
    mask[:, 3:] = 5
    assert compare_losses.distance_to_boundary(mask)[1].tolist() == [3, 2, 1, 1, 2, 3, 4, 5]
    assert np.isinf(compare_losses.distance_to_boundary(np.zeros((3, 3), int))).all()


def test_class_iou_is_intersection_over_union():
    truth = np.array([0, 0, 0, 1, 1, 1, 1, 1])
    prediction = np.array([0, 0, 1, 1, 1, 1, 0, 0])
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (truth, prediction), 1)
    iou = compare_losses.class_iou(confusion)
    assert iou[:2].tolist() == [100 * 2 / 5, 100 * 3 / 6]
    assert np.isnan(iou[2]), "a class that nowhere occurs has no IoU"


def result(miou: float) -> dict:
    return {
        "mIoU": miou,
        "class_IoU": {"background": 90.0, "boat": 2 * miou - 90},
        "trimap_mIoU": {str(width): miou - 10 for width in compare_losses.TRIMAP_WIDTHS},
        "seconds_per_iteration": 0.5,
    }


def test_the_table_gives_mean_spread_and_the_share_of_the_gap_closed():
    scores = {"ce": (60, 62), "densecrf": (66, 68), "mask": (70, 72)}
    results = {name: dict(enumerate(map(result, values))) for name, values in scores.items()}
    lines = list(compare_losses.table(results))
    assert lines[0] == "| seeds 0 1 | cross entropy | + DenseCRF | full masks |"
    assert "| mIoU | 61.0 ± 1.4 | 67.0 ± 1.4 | 71.0 ± 1.4 |" in lines
    assert "| trimap mIoU, 2 px | 51.0 ± 1.4 | 57.0 ± 1.4 | 61.0 ± 1.4 |" in lines
    assert "| IoU background | 90.0 ± 0.0 | 90.0 ± 0.0 | 90.0 ± 0.0 |" in lines
    assert "60%" in lines[-1]


def test_compares_resumes_and_does_not_train_twice(tmp_path, monkeypatch, capsys):
    sample, out = tmp_path / "sample", tmp_path / "comparison"
    make_sample_dataset.main(
        ["--out", str(sample), "--train", "4", "--val", "2", "--size", "64", "48"]
    )
    options = ["train_cfg.max_iters=2", "train_cfg.val_interval=2", "train_dataloader.batch_size=2"]
    options += ["default_hooks.logger.interval=1"]
    options += [f"{loader}_dataloader.dataset.data_root={sample}" for loader in ("train", "val")]
    command = ["--config", str(CONFIG), "--seeds", "0", "--out", str(out), "--cfg-options"]
    monkeypatch.setattr(sys, "argv", ["compare_losses.py", *command, *options])

    compare_losses.main()
    assert "| mIoU |" in capsys.readouterr().out
    for figure in ("comparison.png", "examples_seed_0.png"):
        assert (out / figure).stat().st_size > 0
    predictions = out / "mask" / "seed_0" / "predictions"
    assert sorted(path.name for path in predictions.iterdir()) == ["val_0000.png", "val_0001.png"]
    with Image.open(predictions / "val_0000.png") as image:
        boat = image.getpalette()[3:6]
    assert boat == [0, 0, 128], "the second of the sample's classes in VOC's colour for it"
    results = json.loads((out / "comparison.json").read_text())
    assert {name: list(runs) for name, runs in results.items()} == {
        "ce": ["0"],
        "densecrf": ["0"],
        "mask": ["0"],
    }
    assert all(0 <= runs["0"]["mIoU"] <= 100 for runs in results.values())
    assert all(runs["0"]["seconds_per_iteration"] > 0 for runs in results.values())

    # A result that is there is kept; one that is lost is measured again, without new training.
    checkpoint = out / "ce" / "seed_0" / "iter_2.pth"
    trained = checkpoint.stat().st_mtime_ns
    (out / "ce" / "seed_0" / "result.json").unlink()
    compare_losses.main()
    assert checkpoint.stat().st_mtime_ns == trained
    again = json.loads((out / "comparison.json").read_text())
    assert again["ce"]["0"]["mIoU"] == results["ce"]["0"]["mIoU"]

    other = [*command, *options, "train_cfg.max_iters=3"]
    monkeypatch.setattr(sys, "argv", ["compare_losses.py", *other])
    with pytest.raises(SystemExit, match="another config"):
        compare_losses.main()
