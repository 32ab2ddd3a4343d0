"""The hook in MMEngine's Runner."""

import logging

import pytest
from mmengine.hooks import Hook
from mmseg.models.decode_heads import FCNHead
from mmseg.registry import HOOKS, MODELS

from mmseg_rloss.engine.provide_images import find_segmentor
from tests.engine.segmentors import DENSECRF
from tests.engine.training import LOADING, PIPELINE, logged, train, training_config

FITTING = 1.8e-2  # the weight for images of this size, of noise


def hook_of(runner, kind):
    return next(hook for hook in runner.hooks if isinstance(hook, kind))


@HOOKS.register_module()
class RecordRegions(Hook):
    """Records what the loss is provided with."""

    def before_train(self, runner):
        self.regions = []
        loss = find_segmentor(runner.model).decode_head.loss_decode[1]
        loss.register_forward_hook(
            lambda m, args, out: self.regions.append(m.scene.region_of_interest)
        )


class Records(logging.Handler):
    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


@HOOKS.register_module()
class RecordLog(Hook):
    """Records the warnings of the Runner's log."""

    def before_run(self, runner):
        self.records = Records()
        self.records.setLevel(logging.WARNING)
        runner.logger.addHandler(self.records)


def warnings_of(runner):
    return [text for text in hook_of(runner, RecordLog).records.messages if "DenseCRFLoss" in text]


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    config = training_config(root, tmp_path_factory.mktemp("work"))
    config["custom_hooks"] += [dict(type="RecordRegions"), dict(type="RecordLog")]
    config["model"]["decode_head"]["loss_decode"][1] = dict(DENSECRF, loss_weight=FITTING)
    return train(config)


def test_a_runner_trains_with_the_loss(trained):
    losses = logged(trained, "decode.loss_densecrf")
    assert len(losses) == 2 and all(loss < 0 for loss in losses)
    regions = hook_of(trained, RecordRegions).regions
    assert len(regions) == 2
    for region in regions:
        assert region.shape == (2, 24, 24)
        assert region[:, :16].all() and not region[:, 16:].any()


def test_nothing_stays_on_the_model(trained):
    model = find_segmentor(trained.model)
    assert not model._forward_pre_hooks and not model._forward_hooks


def test_a_tracked_region_is_not_warned_of(trained):
    assert warnings_of(trained) == []
    assert "suit scribbles" not in "".join(hook_of(trained, RecordLog).records.messages)


def test_a_head_that_cannot_use_the_loss_stops_the_training(root, tmp_path):
    config = training_config(root, tmp_path)
    head = config["model"]["decode_head"]
    config["model"]["decode_head"] = dict(
        type="DDRHead",
        in_channels=4,
        channels=4,
        num_classes=3,
        loss_decode=[dict(type="OhemCrossEntropy"), *head["loss_decode"]],
    )
    with pytest.raises(ValueError, match=r"decode_head is a DDRHead.*auxiliary head"):
        train(config)


@MODELS.register_module()
class HeadOfItsOwnMind(FCNHead):
    """Computes its losses without the ones that were added to ``loss_decode``."""

    def loss_by_feat(self, seg_logits, batch_data_samples):
        added, self.loss_decode = self.loss_decode, self.loss_decode[:1]
        losses = super().loss_by_feat(seg_logits, batch_data_samples)
        self.loss_decode = added
        return losses


def test_a_loss_that_was_never_called_stops_the_training(root, tmp_path):
    config = training_config(root, tmp_path)
    config["model"]["decode_head"]["type"] = "HeadOfItsOwnMind"
    message = r"did not call DenseCRFLoss: decode_head\.loss_decode\.1 of HeadOfItsOwnMind"
    with pytest.raises(RuntimeError, match=message):
        train(config)


def test_a_loss_that_stands_alone_is_called(root, tmp_path):
    config = training_config(root, tmp_path)
    config["model"]["decode_head"]["loss_decode"] = DENSECRF
    assert len(logged(train(config), "decode.loss_densecrf")) == 2


def test_messages_name_the_losses_of_the_network(root, tmp_path):
    rotate, pack = dict(type="RandomRotate", prob=1.0, degree=9), dict(type="PackSegInputs")
    config = training_config(root, tmp_path, [*LOADING, rotate, pack])
    config["custom_hooks"].append(dict(type="RecordLog"))
    head = config["model"]["decode_head"]
    head["loss_decode"] = [dict(type="KernelCutLoss"), dict(type="NormalizedCutLoss")]
    messages = hook_of(train(config), RecordLog).records.messages
    (warning,) = [message for message in messages if "padding" in message]
    assert "RandomRotate counts as image in KernelCutLoss or NormalizedCutLoss" in warning

    head["type"] = "HeadOfItsOwnMind"  # calls the first alone
    config["custom_hooks"].pop()
    message = r"did not call NormalizedCutLoss: decode_head\.loss_decode\.1 of HeadOfItsOwnMind"
    with pytest.raises(RuntimeError, match=message):
        train(config | dict(experiment_name="uncalled"))


def test_a_weight_that_does_not_fit_the_images_is_reported_once(root, tmp_path):
    config = training_config(root, tmp_path)
    weak = dict(DENSECRF, loss_weight=FITTING / 100)
    config["model"]["decode_head"]["loss_decode"][1] = weak
    config["custom_hooks"].append(dict(type="RecordLog"))
    (warning,) = warnings_of(train(config))
    assert "DenseCRFLoss decode_head.loss_decode.1 has loss_weight" in warning
    assert "times weaker than the published setting" in warning


def test_padding_that_would_count_as_image_is_warned_of_with_the_lines_to_add(root, tmp_path):
    rotate, pad = dict(type="RandomRotate", prob=1.0, degree=9), dict(type="Pad", size=(24, 32))
    config = training_config(root, tmp_path, [*LOADING, rotate, pad, dict(type="PackSegInputs")])
    even = dict(DENSECRF, loss_weight=FITTING / 75)  # padding is a large area of one colour
    config["model"]["decode_head"]["loss_decode"][1] = even
    config["custom_hooks"].append(dict(type="RecordLog"))
    (warning,) = warnings_of(train(config))
    for words in ("RandomRotate, Pad", "type='LoadRegionOfInterest'", "type='PackScribbleInputs'"):
        assert words in warning


def test_the_traps_of_a_stock_config_are_reported_at_once(root, tmp_path):
    stock = [
        *LOADING,
        dict(type="LoadRegionOfInterest"),
        dict(type="RandomCrop", crop_size=(16, 24), cat_max_ratio=0.75),
        dict(type="PhotoMetricDistortion"),
        dict(type="PackScribbleInputs"),
    ]
    config = training_config(root, tmp_path, stock)
    config["model"]["data_preprocessor"] |= dict(size=(48, 32), size_divisor=None)
    config["model"]["decode_head"]["loss_decode"][0] = dict(type="CrossEntropyLoss")
    config["custom_hooks"].append(dict(type="RecordLog"))
    messages = hook_of(train(config), RecordLog).records.messages
    (told,) = [text for text in messages if "does not suit scribbles" in text]
    for words in (
        "PhotoMetricDistortion changes the colours",
        "RandomCrop's cat_max_ratio",
        "decode_head.loss_decode.0 is divided by all pixels",
        "avg_non_ignore=True",
        "crops of (16, 24) padded to (48, 32)",
        "model.data_preprocessor.size=(16, 24)",
    ):
        assert words in told


def test_a_wrong_order_stops_the_training(root, tmp_path):
    pipeline = [*LOADING, dict(type="Pad", size=(24, 32)), *PIPELINE[2:]]
    with pytest.raises(ValueError, match="LoadRegionOfInterest comes after Pad"):
        train(training_config(root, tmp_path, pipeline))


def test_without_the_hook_the_error_names_it(root, tmp_path):
    config = training_config(root, tmp_path)
    config["custom_hooks"] = []
    with pytest.raises(RuntimeError, match=r"custom_hooks = \[dict\(type='ProvideImagesHook'\)\]"):
        train(config)


def test_a_network_without_the_loss_trains_with_a_warning(root, tmp_path):
    config = training_config(root, tmp_path)
    config["model"]["decode_head"]["loss_decode"] = dict(type="CrossEntropyLoss")
    with pytest.warns(UserWarning, match="has no DenseCRFLoss"):
        runner = train(config)
    assert len(logged(runner, "decode.loss_ce")) == 2
