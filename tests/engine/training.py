"""A data set of images on disk and a Runner that trains a small segmentor on it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import MMFullyShardedDataParallel
from mmengine.registry import MODEL_WRAPPERS
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from tests.engine.segmentors import IMAGENET, build_segmentor, random_images, segmentor_config

LOADING = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations")]
PIPELINE = [
    *LOADING,
    dict(type="LoadRegionOfInterest"),
    dict(type="RandomCrop", crop_size=(16, 24)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="Pad", size=(24, 24)),
    dict(type="PackScribbleInputs"),
]


WITHOUT_CHANCE = [
    *LOADING,
    dict(type="LoadRegionOfInterest"),
    dict(type="Pad", size=(32, 24)),
    dict(type="PackScribbleInputs"),
]


@HOOKS.register_module()
class CtrlCAsTheConfigIsFormatted(Hook):
    """Presses it in the first iteration, as if a checkpoint were written."""

    def after_train_iter(self, runner: Runner, *_: object, **__: object) -> None:
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        while True:
            _ = runner.cfg.pretty_text


def write_data_set(root: Path, count: int = 4) -> None:
    """Images of 20x28 in ``images``, scribbles on one row of each in ``labels``, and weights."""
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    for i, image in enumerate(random_images(*[(20, 28)] * count)):
        label = np.full((20, 28), 255, np.uint8)
        label[8] = i % 3
        cv2.imwrite(str(root / "images" / f"{i}.png"), image)
        cv2.imwrite(str(root / "labels" / f"{i}.png"), label)
    model = build_segmentor(**IMAGENET)
    torch.save(dict(state_dict=model.state_dict()), root / "initial.pth")


def training_config(root: Path, work_dir: Path, pipeline: list[dict] = PIPELINE) -> dict:
    """Two iterations of two images each, as a config of MMSeg has them.

    The statistics of batch norm are frozen, so that every image counts by itself.
    """
    model = segmentor_config(**IMAGENET)
    model["backbone"]["norm_eval"] = True
    return dict(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=2,
            sampler=dict(type="InfiniteSampler", shuffle=False),
            dataset=dict(
                type="BaseSegDataset",
                data_root=str(root),
                data_prefix=dict(img_path="images", seg_map_path="labels"),
                img_suffix=".png",
                metainfo=dict(classes=("a", "b", "c"), palette=[[0] * 3] * 3),
                pipeline=pipeline,
            ),
        ),
        load_from=str(root / "initial.pth"),
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=2),
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01)),
        custom_hooks=[dict(type="ProvideImagesHook")],
        default_hooks=dict(
            logger=dict(type="LoggerHook", interval=1),
            checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=-1, save_last=False),
        ),
        log_processor=dict(by_epoch=False),
        randomness=dict(seed=0),
        default_scope="mmseg",
        # MMEngine keeps what it logs under this name and the second: two of one name share it.
        experiment_name="_".join(work_dir.parts[-2:]),
    )


def train(config: dict) -> Runner:
    """Build the Runner of a config and let it train."""
    runner = Runner.from_cfg(config)
    runner.train()
    return runner


def logged(runner: Runner, name: str) -> list[float]:
    """What a Runner has logged under a name, iteration by iteration."""
    history, _ = runner.message_hub.get_scalar(f"train/{name}").data
    return list(history)


def write_config(config: dict) -> Path:
    """Write a config into its work folder for a tool, whose processes each write their losses."""
    config = config | dict(
        custom_imports=dict(imports=["mmseg_rloss", "tests.engine.training"]),
        custom_hooks=[*config["custom_hooks"], dict(type="WriteLosses")],
    )
    path = Path(config["work_dir"], "config.py")
    path.parent.mkdir(exist_ok=True)
    Config(config).dump(path)
    return path


def check_losses(work_dir: Path, one: Runner) -> None:
    """Two processes share a batch: the mean of their losses is the loss of one with all of it."""
    losses = [json.loads((work_dir / f"losses_{rank}.json").read_text()) for rank in range(2)]
    for name in ("loss", "decode.loss_ce", "decode.loss_densecrf"):
        mean = [(first[name] + second[name]) / 2 for first, second in zip(*losses, strict=True)]
        assert mean == pytest.approx(logged(one, name), rel=1e-5)
        assert losses[0][0][name] != losses[1][0][name]


def check_weights(checkpoint: Path, one: Runner) -> None:
    """A checkpoint holds the weights that a Runner has arrived at."""
    weights = torch.load(checkpoint, weights_only=False)["state_dict"]
    torch.testing.assert_close(weights, one.model.state_dict(), rtol=1e-5, atol=1e-7)


@HOOKS.register_module()
class WriteLosses(Hook):
    """Writes what each process gets as its own losses, for a test to read."""

    def __init__(self) -> None:
        self.losses: list[dict[str, float]] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.losses.append({name: float(value) for name, value in outputs.items()})

    def after_train(self, runner) -> None:
        path = Path(runner.work_dir, f"losses_{get_rank()}.json")
        path.write_text(json.dumps(self.losses))


@MODEL_WRAPPERS.register_module()
class FullyShardedOnCPU(MMFullyShardedDataParallel):
    """FSDPStrategy's wrapper, without the GPU that the strategy names to it."""

    def __init__(self, module: torch.nn.Module, device_id: int) -> None:
        super().__init__(module, device_id=torch.device("cpu"))
