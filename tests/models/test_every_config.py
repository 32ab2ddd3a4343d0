"""DenseCRFLoss by a config merge in MMSeg's own models."""

import math
import re

import pytest
import torch
from mmseg.registry import MODELS

from mmseg_rloss.models.losses import losses_by_name
from tests.models.every_config import (
    AUXILIARY_HEADS,
    DECODE_HEADS,
    DENSECRF,
    HEADS,
    REFUSED_HEADS,
    build_with_loss,
    heads_with_loss,
    lacks_ops_for,
    refusal,
    train,
)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def with_reasons_to_skip(names):
    lacks_ops = "the installed MMCV has no operators"
    return [
        pytest.param(name, marks=pytest.mark.skipif(lacks_ops_for(name), reason=lacks_ops))
        for name in names
    ]


def check_that_it_trains(model):
    """Every loss is called in two iterations, reaches its logits and takes part in the sum."""
    logs, calls = train(model)
    assert {call.loss for call in calls} == set(losses_by_name(model))
    for call in calls:
        assert math.isfinite(call.value) and call.value < 0
        assert call.gradient.isfinite().all() and call.gradient.abs().max() > 0
    values = [value for log in logs for name, value in log.items() if "densecrf" in name]
    assert sorted(values) == sorted(call.value for call in calls)
    for log in logs:
        parts = sum(value for name, value in log.items() if "loss" in name and name != "loss")
        assert log["loss"] == pytest.approx(parts, rel=1e-4)
    assert all(parameter.sum().isfinite() for parameter in model.parameters())


@pytest.mark.parametrize("name", with_reasons_to_skip(DECODE_HEADS))
def test_the_decode_head_trains_with_the_loss(name):
    heads = DECODE_HEADS[name]
    model = build_with_loss(name, heads)
    assert list(losses_by_name(model)) == [
        f"{head.removeprefix('model.')}.loss_decode.1" for head in heads
    ]
    check_that_it_trains(model)
    check_that_it_is_documented(model)


@pytest.mark.parametrize("name", AUXILIARY_HEADS)
def test_the_auxiliary_head_trains_with_the_loss(name):
    heads = AUXILIARY_HEADS[name]
    model = build_with_loss(name, heads)
    losses = losses_by_name(model)
    assert len(losses) == len(heads)
    assert all(loss.startswith("auxiliary_head") for loss in losses)
    check_that_it_trains(model)
    check_that_it_is_documented(model)


def test_several_heads_train_with_two_losses_each():
    heads = ["model.decode_head", *(f"model.auxiliary_head.{i}" for i in range(4))]
    near = DENSECRF | dict(sigma_xy=3.0, loss_name="loss_densecrf_near")
    model = build_with_loss("bisenetv2", heads, DENSECRF, near)
    assert len(losses_by_name(model)) == 10
    check_that_it_trains(model)


def test_two_losses_of_one_name_are_added():
    model = build_with_loss("fast_scnn", ["model.decode_head"], DENSECRF, DENSECRF)
    (log,), calls = train(model, iterations=1)
    assert log["decode.loss_densecrf"] == pytest.approx(sum(call.value for call in calls))
    assert len(calls) == 2


@pytest.mark.parametrize("name", with_reasons_to_skip(REFUSED_HEADS))
def test_a_head_that_cannot_use_the_loss_is_refused_with_the_documented_reason(name):
    head, reason = refusal(name, REFUSED_HEADS[name])
    verdict, documented_reason = documented_rows()[head].split(" | ")
    assert documented_reason == reason
    assert (verdict == "no") == (name not in AUXILIARY_HEADS)


def test_every_head_of_mmseg_is_documented():
    heads = {
        name
        for name, head in MODELS.module_dict.items()
        if head.__module__.startswith("mmseg.models.decode_heads") and name.endswith("Head")
    }
    assert heads - documented_rows().keys() == {"KernelUpdateHead"}  # It is a part of K-Net's.


def documented_rows():
    """What docs/heads.md says of each head."""
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", HEADS.read_text(), flags=re.MULTILINE)
    return dict(rows)


def check_that_it_is_documented(model):
    for head in heads_with_loss(model).values():
        assert documented_rows()[head].startswith("yes | ")
