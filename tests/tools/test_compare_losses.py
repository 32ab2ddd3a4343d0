"""compare_losses: its measures against hand-made cases, and a whole comparison in miniature."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from mmseg_rloss.comparison.report import spread, table
from mmseg_rloss.comparison.scores import (
    EVERYWHERE,
    TRIMAP_WIDTHS,
    WIDTHS,
    Areas,
    count,
    distance_to_boundary,
    seconds_per_iteration,
)
from mmseg_rloss.comparison.training import take_warmup
from mmseg_rloss.comparison.variants import (
    ComparisonError,
    look_at_masks,
    losses_to_compare,
    vary,
)
from mmseg_rloss.datasets import DatasetFilesError
from mmseg_rloss.datasets.label_png import write_label_png
from mmseg_rloss.engine import ChannelsLastHook, ProvideImagesHook
from mmseg_rloss.models import DenseCRFLoss
from tests.engine.training import LOADING, PIPELINE, training_config, write_data_set
from tools import compare_losses, make_sample_dataset

CONFIG = Path(__file__).parents[2] / "configs" / "deeplabv3plus_mobilenet_scribble_sample.py"


def load() -> Config:
    init_default_scope("mmseg")
    return Config.fromfile(CONFIG)


DENSE_ENERGY = dict(type="DenseEnergyLoss", loss_weight=1e-6, loss_name="loss_dense_energy")


def test_the_variants_differ_in_losses_and_labels():
    config = load()
    config.regularized_losses = dict(dense_energy=DENSE_ENERGY)
    config.custom_hooks.append(dict(type="ChannelsLastHook"))
    losses = losses_to_compare(config, None)
    losses |= losses_to_compare(config, ["dense_energy"])
    variants = {
        name: vary(config, name, losses.get(name), seed=3) for name in ("ce", *losses, "mask")
    }
    types = {
        name: [loss.type for loss in varied.model.decode_head.loss_decode]
        for name, varied in variants.items()
    }
    assert types == {
        "ce": ["CrossEntropyLoss"],
        "densecrf": ["DenseCRFLoss", "CrossEntropyLoss"],
        "dense_energy": ["DenseEnergyLoss", "CrossEntropyLoss"],
        "mask": ["CrossEntropyLoss"],
    }
    labels = {name: varied.train_dataloader.dataset.labels for name, varied in variants.items()}
    assert labels == dict(ce="scribble", densecrf="scribble", dense_energy="scribble", mask="mask")
    assert all(varied.randomness.seed == 3 for varied in variants.values())
    hooks = {name: [hook.type for hook in varied.custom_hooks] for name, varied in variants.items()}
    assert hooks["ce"] == hooks["mask"] == ["ChannelsLastHook"]
    assert hooks["densecrf"] == hooks["dense_energy"] == ["ProvideImagesHook", "ChannelsLastHook"]


def test_a_loss_that_the_config_lacks_is_named():
    config = load()
    config.regularized_losses = dict(dense_energy=DENSE_ENERGY)
    with pytest.raises(
        ComparisonError, match="--losses: no loss of the name dense: .* has dense_energy"
    ):
        losses_to_compare(config, ["dense_energy", "dense"])
    config.model.decode_head.loss_decode.pop(0)
    with pytest.raises(ComparisonError, match="lists no regularized loss"):
        losses_to_compare(config, None)


def test_distance_to_boundary_counts_pixels_from_the_nearest_change_of_label():
    mask = np.zeros((3, 8), int)
    mask[:, 3:] = 5
    assert distance_to_boundary(mask)[1].tolist() == [3, 2, 1, 1, 2, 3, 4, 5]
    assert np.isinf(distance_to_boundary(np.zeros((3, 3), int))).all()


def test_rates_are_shares_of_the_areas_that_are_counted():
    areas = Areas(num_classes=3)
    areas.add(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]))
    areas.add(np.array([1, 1, 0, 0], np.uint8), np.array([1, 1, 1, 1], np.uint8))
    areas.add(np.array([], int), np.array([], int))  # an image without a boundary
    iou, accuracy = areas.rates()
    assert iou[:2].tolist() == [100 * 2 / 5, 100 * 3 / 6]
    assert accuracy[:2].tolist() == pytest.approx([100 * 2 / 3, 100 * 3 / 5])
    assert np.isnan(iou[2]) and np.isnan(accuracy[2]), "a class that nowhere occurs has no rates"


def test_trimaps_count_what_is_near_a_boundary():
    mask = np.zeros((3, 12), int)
    mask[:, 6:] = 1
    mask[:, 5] = 7  # ignored
    prediction = np.where(mask == 1, 1, 0)
    prediction[:, :2] = 1  # wrong, at a distance of 4 and 5
    areas = {width: Areas(num_classes=2) for width in WIDTHS}
    count(areas, prediction, mask, [255, 7])
    assert areas[2].rates()[0].tolist() == [100, 100]
    assert areas[4].rates()[0].tolist() == [75, 100 * 4 / 5]
    assert areas[EVERYWHERE].rates()[0].tolist() == [100 * 3 / 5, 100 * 6 / 8]


def result(miou: float) -> dict:
    return {
        "mIoU": miou,
        "mAcc": miou + 10,
        "class_IoU": {"background": 90.0, "boat": 2 * miou - 90},
        "trimap_mIoU": {str(width): miou - 10 for width in TRIMAP_WIDTHS},
        "seconds_per_iteration": 0.5,
    }


def test_the_table_gives_mean_spread_and_the_share_of_the_gap_closed():
    scores = {"ce": (60, 62), "densecrf": (66, 68), "other": (60, 60), "mask": (70, 72)}
    results = {name: dict(enumerate(map(result, values))) for name, values in scores.items()}
    lines = list(table(results))
    assert lines[0] == "| seeds 0 1 | cross entropy | + DenseCRF | + other | full masks |"
    assert "| mIoU | 61.0 ± 1.4 | 67.0 ± 1.4 | 60.0 ± 0.0 | 71.0 ± 1.4 |" in lines
    assert "| mIoU, seed 1 | 62.0 | 68.0 | 60.0 | 72.0 |" in lines
    assert "| share of the gap closed | - | 60% | -10% | - |" in lines
    assert "| mean accuracy by class | 71.0 ± 1.4 | 77.0 ± 1.4 | 70.0 ± 0.0 | 81.0 ± 1.4 |" in lines
    assert "| trimap mIoU, 2 px | 51.0 ± 1.4 | 57.0 ± 1.4 | 50.0 ± 0.0 | 61.0 ± 1.4 |" in lines
    assert "| IoU background | 90.0 ± 0.0 | 90.0 ± 0.0 | 90.0 ± 0.0 | 90.0 ± 0.0 |" in lines


WARMING_UP = f"""
_base_ = {str(CONFIG)!r}
custom_hooks = [
    dict(type="ProvideImagesHook"), dict(type="RegularizedLossWarmupHook", iters=1)
]
"""


def iterations(folder: Path) -> list[int]:
    """Those in the log of the training of seed 0."""
    (log,) = folder.glob("seed_0/*/vis_data/scalars.json")
    entries = [json.loads(line) for line in log.open()]
    return [entry["iter"] for entry in entries if "loss" in entry]


def test_compares_resumes_and_does_not_train_twice(tmp_path, monkeypatch, capsys):
    sample, out = tmp_path / "sample", tmp_path / "comparison"
    make_sample_dataset.main(
        ["--out", str(sample), "--train", "4", "--val", "2", "--size", "64", "48"]
    )
    config = tmp_path / "config.py"
    config.write_text(WARMING_UP)
    options = ["train_cfg.max_iters=2", "train_cfg.val_interval=2", "train_dataloader.batch_size=2"]
    options += ["default_hooks.logger.interval=1", "default_hooks.checkpoint.interval=1"]
    options += [f"{loader}_dataloader.dataset.data_root={sample}" for loader in ("train", "val")]
    command = ["--config", str(config), "--seeds", "0", "--out", str(out), "--cfg-options"]
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

    # The warm-up was trained once, by the cross entropy.
    assert iterations(out / "ce") == iterations(out / "mask") == [1, 2]
    assert iterations(out / "densecrf") == [2]

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


def test_a_loss_may_stand_by_itself_and_without_a_name():
    """MMSeg's usual form: loss_decode is one dict, here of the auxiliary kind of config."""
    config = load()
    crf = config.model.decode_head.loss_decode[0]
    crf.pop("loss_name", None)
    config.model.decode_head.loss_decode = crf
    config.pop("custom_hooks")
    losses = losses_to_compare(config, None)
    assert list(losses) == ["densecrf"]
    for variant, types in (("densecrf", ["DenseCRFLoss"]), ("mask", [])):
        varied = vary(config, variant, losses.get(variant), seed=0)
        assert [loss.type for loss in varied.model.decode_head.loss_decode] == types
    config.model.decode_head.loss_decode = dict(type="CrossEntropyLoss")
    with pytest.raises(ComparisonError, match="lists no regularized loss"):
        losses_to_compare(config, None)
    config.model.decode_head.pop("loss_decode")
    with pytest.raises(ComparisonError, match="lists no regularized loss"):
        losses_to_compare(config, None)
    config.model.decode_head.loss_decode = dict(type="NoSuchLoss")
    with pytest.raises(ComparisonError, match="NoSuchLoss, which is not a registered loss"):
        losses_to_compare(config, None)


def test_types_may_be_classes():
    config = load()
    config.model.decode_head.loss_decode[0].type = DenseCRFLoss
    config.custom_hooks = [dict(type=ProvideImagesHook), dict(type=ChannelsLastHook)]
    assert list(losses_to_compare(config, None)) == ["densecrf"]
    hooks = vary(config, "ce", None, seed=0).custom_hooks
    assert [hook.type for hook in hooks] == [ChannelsLastHook]


def test_a_line_of_the_log_that_broke_off_does_no_harm(tmp_path):
    (tmp_path / "now" / "vis_data").mkdir(parents=True)
    lines = [json.dumps(dict(loss=1.0, time=time)) + "\n" for time in (0.5, 0.25, 1.0)]
    (tmp_path / "now/vis_data/scalars.json").write_text("".join(lines) + '{"loss": 1.0, "ti')
    assert seconds_per_iteration(tmp_path) == 0.5


def test_a_training_too_short_for_the_log_has_no_speed(tmp_path):
    assert np.isnan(seconds_per_iteration(tmp_path))
    assert spread([np.nan, np.nan], 3) == "-"


def test_a_warm_up_that_broke_off_is_not_taken(tmp_path):
    config = load()
    config.custom_hooks.append(dict(type="RegularizedLossWarmupHook", iters=1))
    warm, folder = tmp_path / "ce", tmp_path / "densecrf"
    for path in (warm, folder):
        path.mkdir()
    torch.save(dict(weight=torch.zeros(9)), warm / "iter_1.pth")
    whole = (warm / "iter_1.pth").read_bytes()
    (warm / "iter_1.pth").write_bytes(whole[:-100])
    take_warmup(config, warm, folder)
    assert list(folder.iterdir()) == []
    (warm / "iter_1.pth").write_bytes(whole)
    take_warmup(config, warm, folder)
    assert (folder / "last_checkpoint").read_text() == str(folder / "iter_1.pth")


def test_a_data_set_of_ones_own_without_masks_to_train_on(tmp_path, capsys):
    """Two images of one stem, and weights to begin with, which --resume would begin with again."""
    sample = tmp_path / "plants"
    write_data_set(sample, count=2)
    for kind in ("images", "labels"):
        for i in range(2):
            (sample / kind / f"{i}").mkdir()
            (sample / kind / f"{i}.png").rename(sample / kind / f"{i}" / "my plant.png")
    (sample / "masks" / "1").mkdir(parents=True)
    write_label_png(np.eye(20, 28, dtype=np.uint8), sample / "masks" / "1" / "my plant.png")
    config = training_config(sample, tmp_path / "work")
    metainfo = dict(classes=("ground", "leaf", "fruit"), palette=[[0, 0, 0], [1, 2, 3], [4, 5, 6]])
    own = dict(type="ScribbleDataset", data_root=str(sample), metainfo=metainfo)
    folders = dict(img_path="images", seg_map_path="labels")
    config["train_dataloader"]["dataset"] = dict(own, data_prefix=folders, pipeline=PIPELINE)
    config["val_dataloader"] = dict(
        batch_size=1,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=dict(
            own,
            labels="mask",
            data_prefix=dict(img_path="images"),
            pipeline=[*LOADING, dict(type="PackSegInputs")],
        ),
    )
    config |= dict(val_cfg=dict(type="ValLoop"), val_evaluator=dict(type="IoUMetric"))
    config["test_pipeline"] = [dict(type="LoadImageFromFile"), dict(type="PackSegInputs")]
    config["default_hooks"] = dict(
        checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=2)
    )
    config["custom_imports"] = dict(imports=["mmseg_rloss"])
    Config(config).dump(tmp_path / "config.py")
    out = tmp_path / "out"
    compare_losses.main(
        ["--config", str(tmp_path / "config.py"), "--seeds", "0", "--out", str(out)]
    )
    told = capsys.readouterr().out
    assert "Not all images to train on have a full mask" in told
    assert "| seeds 0 | cross entropy | + DenseCRF |" in told
    with Image.open(out / "densecrf" / "seed_0" / "predictions" / "1" / "my plant.png") as image:
        assert image.getpalette()[3:9] == [1, 2, 3, 4, 5, 6]
    assert (out / "examples_seed_0.png").is_file()


def test_masks_that_cannot_be_evaluated_on_end_it_before_a_training(tmp_path):
    write_data_set(tmp_path, count=1)
    write_label_png(np.full((20, 28), 3, np.uint8), tmp_path / "labels" / "0.png")
    config = Config(training_config(tmp_path, tmp_path / "work"))
    config.val_dataloader = config.train_dataloader
    with pytest.raises(DatasetFilesError, match=r"0\.png: label 3, which is not one of the 3"):
        look_at_masks(config)
