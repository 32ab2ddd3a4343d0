"""Trainings with every hook, interrupted at every point, started again and by another Runner."""

import copy
from pathlib import Path

import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_rloss.engine.provide_images import find_segmentor
from tests.engine.segmentors import DENSECRF
from tests.engine.training import WITHOUT_CHANCE, logged, train, training_config

PICTURES = [f"decode_head.loss_decode.1.png_{step}.png" for step in (2, 4)]


def config_of(root, work_dir, interrupt: dict | None = None) -> dict:
    """Four iterations, of which one warms up and every other is drawn."""
    config = training_config(root, work_dir, WITHOUT_CHANCE)
    config["train_cfg"]["max_iters"] = 4
    config["visualizer"] = dict(
        type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")]
    )
    config["custom_hooks"] += [
        dict(type="RegularizedLossWarmupHook", iters=1),
        dict(type="DenseCRFVisualizationHook", interval=2),
        dict(type="ChannelsLastHook"),
        *([interrupt] if interrupt else []),
    ]
    return config


@HOOKS.register_module()
class InterruptAt(Hook):
    """Ctrl-C, once, at a point of an iteration: before or after the other hooks, or in between."""

    def __init__(self, point: str, iteration: int) -> None:
        self.point, self.iteration = point, iteration
        self.priority = "VERY_LOW" if point.endswith("late") else "VERY_HIGH"

    def _interrupt(self, point):
        if self.point == point:
            self.point = "never again"
            raise KeyboardInterrupt

    def before_train(self, runner):
        self._interrupt("before_train late")

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            self._interrupt("before_train_iter late")
            model = find_segmentor(runner.model)
            watched = dict(network=model.backbone, loss=model.decode_head.loss_decode[1])
            for point, module in watched.items():
                module.register_forward_hook(lambda *call, point=point: self._interrupt(point))

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == self.iteration:
            self._interrupt("after_train_iter")
            self._interrupt("after_train_iter late")


POINTS = [
    ("before_train late", 0),
    ("before_train_iter late", 0),  # the losses are suspended
    ("network", 0),
    ("network", 1),  # the images are provided
    ("loss", 1),  # and drawn soon
    ("after_train_iter", 1),
    ("after_train_iter late", 1),
]


def pictures(runner) -> list[str]:
    return sorted(path.name for path in Path(runner.log_dir, "vis_data", "vis_image").iterdir())


def losses_of(runner) -> list[float]:
    return logged(runner, "decode.loss_densecrf")


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory):
    return losses_of(train(config_of(root, tmp_path_factory.mktemp("undisturbed"))))


@pytest.mark.parametrize("point, iteration", POINTS)
def test_it_is_started_again(root, tmp_path, undisturbed, point, iteration):
    interrupt = dict(type="InterruptAt", point=point, iteration=iteration)
    runner = Runner.from_cfg(config_of(root, tmp_path, interrupt))
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    runner.train()
    # An iteration that was interrupted is done again, with the images that come next.
    assert runner.iter == 4
    losses = losses_of(runner)
    assert losses[0] == 0 and len(losses) in (4, 5)
    assert max(losses[-3:]) < 0
    assert undisturbed[0] == 0 and max(undisturbed[1:]) < 0
    assert set(pictures(runner)) == set(PICTURES)
    model = find_segmentor(runner.model)
    loss = model.decode_head.loss_decode[1]
    assert not model._forward_hooks and not model._forward_pre_hooks
    assert not any("_record" in str(hook) for hook in loss._forward_hooks.values())
    assert loss.scene is None and loss.loss_weight == DENSECRF["loss_weight"]


@pytest.mark.parametrize("point, iteration", [POINTS[1], POINTS[2], POINTS[4]])
def test_another_runner_trains_the_same_model(root, tmp_path, point, iteration):
    interrupt = dict(type="InterruptAt", point=point, iteration=iteration)
    runner = Runner.from_cfg(config_of(root, tmp_path / "first", interrupt))
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    model = runner.model
    copy.deepcopy(model)  # as EMAHook does; what is under way cannot be copied, and is not
    config = training_config(root, tmp_path / "second", WITHOUT_CHANCE)
    again = Runner(**config | dict(model=model))
    again.train()
    losses = losses_of(again)
    assert len(losses) == 2 and max(losses) < 0  # it has no warm-up
    assert not model._forward_hooks and not model._forward_pre_hooks


def test_the_range_that_the_last_runner_names_counts(root, tmp_path):
    config = training_config(root, tmp_path / "first", WITHOUT_CHANCE)
    config["custom_hooks"][0]["value_range"] = (0, 0.1)
    runner = Runner.from_cfg(config)
    with pytest.raises(ValueError, match=r"grey levels from 0 to 0\.1"):
        runner.train()
    config = training_config(root, tmp_path / "second", WITHOUT_CHANCE)
    again = Runner(**config | dict(model=runner.model))
    again.train()
    assert max(losses_of(again)) < 0
