"""Real trainings that start with the cross entropy alone."""

import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_rloss.engine import RegularizedLossWarmupHook
from mmseg_rloss.engine.provide_images import find_segmentor
from tests.engine.segmentors import DENSECRF
from tests.engine.training import WITHOUT_CHANCE, logged, train, training_config

PROVIDE = dict(type="ProvideImagesHook")
WARM_UP = dict(type="RegularizedLossWarmupHook", iters=2)


def config_of(root, work_dir, *hooks, iterations=4):
    config = training_config(root, work_dir, WITHOUT_CHANCE)
    config["custom_hooks"] = [PROVIDE, *hooks]
    config["train_cfg"]["max_iters"] = iterations
    return config


@pytest.fixture(scope="module")
def warmed_up(root, tmp_path_factory):
    return train(config_of(root, tmp_path_factory.mktemp("warm"), WARM_UP))


def test_the_first_iterations_are_those_of_cross_entropy_alone(root, tmp_path, warmed_up):
    config = config_of(root, tmp_path)
    config["model"]["decode_head"]["loss_decode"].pop()
    config["custom_hooks"] = []
    alone = train(config)

    densecrf = logged(warmed_up, "decode.loss_densecrf")
    assert densecrf[:2] == [0, 0] and max(densecrf[2:]) < 0
    # The third iteration judges what the first two have learnt; the fourth differs.
    entropies = [logged(run, "decode.loss_ce") for run in (warmed_up, alone)]
    assert entropies[0][:3] == entropies[1][:3]
    assert entropies[0][3] != entropies[1][3]


def test_the_weight_is_the_config_s_after_the_training(warmed_up):
    loss = find_segmentor(warmed_up.model).decode_head.loss_decode[1]
    assert loss.loss_weight == DENSECRF["loss_weight"]


def test_an_interrupted_warm_up_leaves_nothing_behind(root, tmp_path, warmed_up):
    config = config_of(root, tmp_path, WARM_UP)
    config["custom_hooks"].append(dict(type="InterruptOnce"))
    runner = Runner.from_cfg(config)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    loss = find_segmentor(runner.model).decode_head.loss_decode[1]
    assert loss.loss_weight == DENSECRF["loss_weight"]
    runner.train()
    assert logged(runner, "decode.loss_densecrf")[-1] < 0


@HOOKS.register_module()
class InterruptOnce(Hook):
    """Ctrl-C before the first forward of a training, the first time."""

    interrupted = False

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if not InterruptOnce.interrupted:
            InterruptOnce.interrupted = True
            raise KeyboardInterrupt


@pytest.mark.parametrize("iterations", [1, 3])
def test_a_resumed_training_warms_up_as_long(root, tmp_path, warmed_up, iterations):
    interrupted = config_of(root, tmp_path, WARM_UP, iterations=iterations)
    interrupted["default_hooks"]["checkpoint"]["interval"] = 1
    train(interrupted)
    resumed = train(config_of(root, tmp_path, WARM_UP) | dict(load_from=None, resume=True))
    for name in ("loss", "decode.loss_densecrf"):
        assert logged(resumed, name)[iterations:] == logged(warmed_up, name)[iterations:]


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match="iters must be 0 or more, not -1"):
        RegularizedLossWarmupHook(-1)
