"""Training with the loss in the ways that MMEngine and PyTorch offer."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS

from mmseg_rloss import provide_images
from tests.engine.segmentors import IMAGENET, build_segmentor, packed_batch, random_images
from tests.engine.training import (
    WITHOUT_CHANCE,
    logged,
    train,
    training_config,
)

LOSSES = ("loss", "decode.loss_ce", "decode.loss_densecrf")


def config_of(root, work_dir, iterations=4):
    config = training_config(root, work_dir, WITHOUT_CHANCE)
    config["train_cfg"]["max_iters"] = iterations
    return config


@pytest.fixture(scope="module")
def four_iterations(root, tmp_path_factory):
    return train(config_of(root, tmp_path_factory.mktemp("work")))


def parameters_of(runner):
    return dict(runner.model.named_parameters())


def test_resuming_gives_the_losses_of_an_uninterrupted_run(root, tmp_path, four_iterations):
    interrupted = config_of(root, tmp_path, iterations=2)
    interrupted["default_hooks"]["checkpoint"]["interval"] = 2
    train(interrupted)

    resumed = train(config_of(root, tmp_path) | dict(load_from=None, resume=True))
    for name in LOSSES:
        assert logged(resumed, name)[-2:] == logged(four_iterations, name)[-2:]
    torch.testing.assert_close(
        parameters_of(resumed), parameters_of(four_iterations), rtol=0, atol=0
    )


def test_accumulated_gradients_are_those_of_the_joint_batch(root, tmp_path, four_iterations):
    config = config_of(root, tmp_path, iterations=8)
    config["train_dataloader"]["batch_size"] = 1
    config["optim_wrapper"]["accumulative_counts"] = 2
    accumulated = train(config)
    halves = torch.tensor(logged(accumulated, "decode.loss_densecrf")).reshape(4, 2)
    whole = torch.tensor(logged(four_iterations, "decode.loss_densecrf"))
    torch.testing.assert_close(halves.mean(1), whole, rtol=1e-5, atol=0)
    torch.testing.assert_close(
        parameters_of(accumulated), parameters_of(four_iterations), rtol=1e-5, atol=1e-7
    )


def test_the_flexible_runner_trains_alike(root, tmp_path, four_iterations):
    config = config_of(root, tmp_path)
    config |= dict(runner_type="FlexibleRunner", env_cfg=dict())
    flexible = RUNNERS.build(Config(config))
    flexible.train()
    assert logged(flexible, "decode.loss_densecrf") == logged(
        four_iterations, "decode.loss_densecrf"
    )


def test_a_compiled_model_trains_alike(root, tmp_path, four_iterations):
    config = config_of(root, tmp_path, iterations=2)
    config["compile"] = dict(backend="aot_eager")
    compiled = train(config)
    for name in LOSSES:
        assert logged(compiled, name) == pytest.approx(logged(four_iterations, name)[:2], rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_computes_the_loss_in_float32(dtype):
    model = build_segmentor(**IMAGENET)
    batch = model.data_preprocessor(packed_batch(random_images((16, 24), (13, 21))), True)
    logits = []
    loss = model.decode_head.loss_decode[1]
    loss.register_forward_pre_hook(lambda module, args: logits.append(args[0]))
    scaler = torch.amp.GradScaler("cpu", enabled=dtype == torch.float16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with provide_images(model):
        whole = model(**batch, mode="loss")["decode.loss_densecrf"]
        with torch.autocast("cpu", dtype=dtype):
            losses = model(**batch, mode="loss")
    mixed = losses["decode.loss_densecrf"]
    assert [tensor.dtype for tensor in logits] == [torch.float32, dtype]
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, whole, rtol=1e-2, atol=0)

    total, _ = model.parse_losses(losses)
    scaler.scale(total).backward()
    scaler.step(optimizer)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
