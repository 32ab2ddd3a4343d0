"""The configs: what they hold against rloss's command line, and that they build and train."""

import argparse
import math
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS, PARAM_SCHEDULERS, TRANSFORMS
from mmseg.structures import SegDataSample
from torch import nn

from mmseg_rloss import provide_images
from mmseg_rloss.models.losses import named_losses

CONFIGS = Path(__file__).parents[2] / "configs"
MOBILENET = "deeplabv3plus_mobilenet_scribble"
# The config, the name of its regularized loss in the log, and the loss' range.
NEGATIVE, SHARE, SHARES = (-math.inf, 0), (0, 1), (0, math.inf)
SELF_LABELLED = ("deeplabv3plus_mobilenet", "deeplabv3plus_r101") + tuple(
    f"segformer_mit-b{size}" for size in range(5)
)
REGULARIZED = {
    MOBILENET: ("densecrf", NEGATIVE),
    f"{MOBILENET}_sample": ("densecrf", NEGATIVE),
    f"{MOBILENET}_animals": ("normalized", SHARES),
    f"{MOBILENET}_self_label_sample": ("self_label", SHARES),
    f"{MOBILENET}_self_label_animals": ("self_label", SHARES),
    f"{MOBILENET}_normalized": ("normalized", SHARE),
    f"{MOBILENET}_dense_energy": ("dense_energy", NEGATIVE),
    f"{MOBILENET}_normalized_cut": ("normalized_cut", SHARES),
    f"{MOBILENET}_kernel_cut": ("kernel_cut", SHARES),
    "deeplabv3plus_r50_scribble": ("densecrf", NEGATIVE),
    "deeplabv3plus_r101_scribble": ("densecrf", NEGATIVE),
}
CROSS_ENTROPY_ALONE = [f"{MOBILENET}_ce", "deeplabv3plus_mobilenet_mask"]


def load(name: str) -> Config:
    init_default_scope("mmseg")
    return Config.fromfile(CONFIGS / f"{name}.py")


def build(config: Config) -> nn.Module:
    config.model.pretrained = None
    return revert_sync_batchnorm(MODELS.build(config.model))


def batch(labels: torch.Tensor) -> tuple[torch.Tensor, list[SegDataSample]]:
    """Normalised images and their data samples; labels (N, H, W)."""
    inputs = torch.randn(len(labels), 3, *labels.shape[1:])
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    for sample in samples:
        sample.set_metainfo(dict(img_shape=tuple(labels.shape[1:])))
    return inputs, samples


def scribbles() -> torch.Tensor:
    labels = torch.full((2, 65, 65), 255)
    labels[0, 10, 5:30] = 1
    labels[1, 40, 5:30] = 0
    return labels


@pytest.mark.parametrize("name", REGULARIZED)
def test_builds_and_gives_its_losses(name):
    model = build(load(name)).train()
    with provide_images(model):
        losses = model(*batch(scribbles()), mode="loss")
    loss, (low, high) = REGULARIZED[name]
    assert low < losses[f"decode.loss_{loss}"] < high
    assert losses["decode.loss_ce"] > 0
    assert next(iter(losses)) == f"decode.loss_{loss}", "the order that a GPU wants: docs/gpu.md"


@pytest.mark.parametrize("name", SELF_LABELLED)
def test_the_self_labelling_networks_train(name):
    torch.manual_seed(0)
    config = load(f"{name}_scribble_self_label")
    model = build(config).train()
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    for group in optimizer.optimizer.param_groups:
        group["lr"] = 1e-4
    before = model.decode_head.conv_seg.weight.detach().clone()
    with provide_images(model):
        for _ in range(2):
            losses = model(*batch(scribbles()), mode="loss")
            optimizer.update_params(sum(value for key, value in losses.items() if "loss" in key))
    after = model.decode_head.conv_seg.weight
    assert after.isfinite().all() and not torch.equal(after, before)
    assert losses["decode.loss_self_label"] > 0 and losses["decode.loss_ce"] > 0


@pytest.mark.parametrize("name", CROSS_ENTROPY_ALONE)
def test_builds_and_gives_cross_entropy_alone(name):
    losses = build(load(name)).train()(*batch(scribbles()), mode="loss")
    assert {loss for loss in losses if "loss" in loss} == {"decode.loss_ce", "aux.loss_ce"}
    assert losses["decode.loss_ce"] > 0


@pytest.mark.parametrize(
    "name",
    [
        *REGULARIZED,
        *CROSS_ENTROPY_ALONE,
        *(f"{name}_scribble_self_label" for name in SELF_LABELLED),
    ],
)
def test_pipelines_can_be_built(name):
    config = load(name)
    for loader in (config.train_dataloader, config.val_dataloader):
        for transform in loader.dataset.pipeline:
            assert TRANSFORMS.build(transform) is not None


def test_a_batch_without_a_labelled_pixel_gives_zero_cross_entropy():
    model = build(load(f"{MOBILENET}_ce")).train()
    unlabelled = torch.full((2, 65, 65), 255)
    losses = model(*batch(unlabelled), mode="loss")
    cross_entropies = [value for name, value in losses.items() if "loss" in name]
    assert [value.item() for value in cross_entropies] == [0.0, 0.0]
    sum(cross_entropies).backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(bool((gradient == 0).all()) for gradient in gradients)


def test_cross_entropy_is_the_mean_over_labelled_pixels_by_the_batch_size_of_rloss():
    config = load(f"{MOBILENET}_ce")
    cross_entropy = MODELS.build(config.model.decode_head.loss_decode[0])
    logits, labels = torch.randn(12, 21, 9, 9), torch.full((12, 9, 9), 255)
    labels[:, 3, 2:6] = 7
    expected = nn.CrossEntropyLoss(ignore_index=255)(logits, labels) / 12
    torch.testing.assert_close(cross_entropy(logits, labels, ignore_index=255), expected)


def test_reproduces_the_command_line_of_rloss():
    config = load(MOBILENET)
    densecrf = config.model.decode_head.loss_decode[0]
    assert densecrf.loss_weight == 1.5e-9
    assert (densecrf.sigma_rgb, densecrf.sigma_xy, densecrf.scale_factor) == (15, 100, 0.5)
    assert config.train_dataloader.batch_size == 12
    assert config.train_dataloader.num_workers == 6
    assert config.train_cfg.max_epochs == 50
    assert config.train_cfg.val_interval == 2
    assert config.default_hooks.checkpoint.interval == 2
    assert config.default_hooks.checkpoint.by_epoch
    assert config.model.data_preprocessor.size == (513, 513)
    assert config.train_dataloader.dataset.labels == "scribble"
    assert config.val_dataloader.dataset.labels == "mask"
    names = [transform.type for transform in config.train_dataloader.dataset.pipeline]
    assert "PhotoMetricDistortion" not in names


def test_heads_learn_ten_times_as_fast_as_the_backbone():
    config = load(MOBILENET)
    model = build(config)
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    assert isinstance(optimizer, torch.optim.SGD)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        expected = 0.007 if name.startswith("backbone") else 0.07
        assert rates[id(parameter)] == pytest.approx(expected), name
    for group in optimizer.param_groups:
        assert (group["momentum"], group["weight_decay"]) == (0.9, 5e-4)


def test_the_learning_rate_decays_polynomially_every_iteration():
    config = load(MOBILENET)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.007)
    epoch_length = 4
    schedule = config.param_scheduler[0]
    scheduler = PARAM_SCHEDULERS.build(
        dict(**schedule, optimizer=optimizer, epoch_length=epoch_length)
    )
    iterations = 50 * epoch_length
    for iteration in range(iterations):
        expected = 0.007 * (1 - iteration / iterations) ** 0.9
        # MMEngine reaches zero at the last iteration, rloss one later.
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected, abs=0.01 * 0.007)
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("name", [MOBILENET, "deeplabv3plus_r50_scribble"])
def test_output_stride_is_16(name):
    backbone = build(load(name)).backbone
    backbone.eval()
    with torch.no_grad():
        features = backbone(torch.zeros(1, 3, 129, 129))
    assert features[0].shape[2:] == (33, 33)
    assert features[-1].shape[2:] == (9, 9)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        (f"{MOBILENET}_ce", {"custom_hooks", "model.decode_head.loss_decode"}),
        *(
            (f"{MOBILENET}_{name}", {"model.decode_head.loss_decode"})
            for name in ("normalized", "dense_energy", "normalized_cut", "kernel_cut", "self_label")
        ),
        (
            "deeplabv3plus_mobilenet_mask",
            {"custom_hooks", "model.decode_head.loss_decode", "train_dataloader.dataset.labels"},
        ),
    ],
)
def test_comparisons_differ_in_losses_and_labels_alone(name, changed):
    assert differences(load(MOBILENET).to_dict(), load(name).to_dict()) == changed


def differences(one: dict, other: dict, prefix: str = "") -> set[str]:
    found = set()
    for key in one.keys() | other.keys():
        a, b = one.get(key), other.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found |= differences(a, b, f"{prefix}{key}.")
        elif a != b:
            found.add(f"{prefix}{key}")
    return found


BANDWIDTHS = {  # sigma_rgb and sigma_xy of self-labelling and of the others
    MOBILENET: ((12, 64), (15, 100)),
    f"{MOBILENET}_animals": ((12, 25), (15, 50)),
    f"{MOBILENET}_sample": ((12, 14), (15, 20)),
    "segformer_mit-b0_scribble_self_label": ((12, 64), (15, 100)),
}


@pytest.mark.parametrize("name", BANDWIDTHS)
def test_the_losses_to_compare_are_those_of_the_configs_of_one_loss(name):
    config = load(name)
    offered = config.regularized_losses
    assert list(offered) == [
        "densecrf",
        "normalized",
        "dense_energy",
        "normalized_cut",
        "kernel_cut",
        "self_label",
        "neighbour_potts",
    ]
    assert named_losses(config, list(offered)) == offered
    weight = config.cross_entropy.loss_weight
    assert offered.self_label.loss_weight == pytest.approx(1.5 * weight)
    for key, loss in offered.items():
        assert (loss.scale_factor, loss.loss_name) == (0.5, f"loss_{key}")
        if key == "neighbour_potts":
            assert loss.sigma_rgb == 10 and "sigma_xy" not in loss
        else:
            bandwidths = BANDWIDTHS[name][0 if key == "self_label" else 1]
            assert (loss.sigma_rgb, loss.sigma_xy) == bandwidths
        setting = name.removeprefix(MOBILENET)
        for path in CONFIGS.glob(f"{MOBILENET}_{key}{setting}.py"):
            assert loss in load(path.stem).model.decode_head.loss_decode


@pytest.mark.parametrize("name", BANDWIDTHS)
def test_the_configs_train_with_any_of_their_losses(name):
    config = load(name)
    cross_entropy = config.cross_entropy
    for key, loss in config.regularized_losses.items():
        config.model.decode_head.loss_decode = [cross_entropy, loss]
        model = build(config).train()
        with provide_images(model):
            losses = model(*batch(scribbles()), mode="loss")
        value = losses[f"decode.loss_{key}"]
        assert math.isfinite(value) and value != 0


@pytest.fixture
def own_config(tmp_path):
    """Loads a config that lies beside the parts of ours."""
    init_default_scope("mmseg")
    (tmp_path / "_base_").symlink_to(CONFIGS / "_base_")

    def load_text(text: str) -> Config:
        path = tmp_path / "own.py"
        path.write_text(text)
        return Config.fromfile(path)

    return load_text


def test_the_parts_train_another_network_as_the_index_says(own_config):
    text = (CONFIGS / "README.md").read_text()
    config = own_config(re.search("```python\n(.*?)```", text, re.DOTALL)[1])
    assert config.train_dataloader.dataset.type == "PascalScribbleDataset"
    model = build(config).train()
    assert type(model.backbone).__name__ == "SwinTransformer"
    with provide_images(model):
        losses = model(*batch(scribbles()), mode="loss")
    assert all(losses[f"decode.loss_{name}"] > 0 for name in ("self_label", "ce"))
    assert losses["aux.loss_ce"] > 0


def test_a_whole_config_of_mmsegmentation_takes_the_losses_beside_it(own_config):
    config = own_config(
        """_base_ = [
    __import__("mmseg").__path__[0]
    + "/.mim/configs/fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py",
    "./_base_/losses/regularized_losses.py",
]
losses = [{{_base_.regularized_losses.normalized}}, {{_base_.cross_entropy}}]
model = dict(decode_head=dict(loss_decode=losses))
"""
    )
    assert config.custom_imports.imports == ["mmseg_rloss"]
    assert [hook.type for hook in config.custom_hooks] == ["ProvideImagesHook"]
    model = build(config).train()
    with provide_images(model):
        losses = model(*batch(scribbles()), mode="loss")
    assert 0 < losses["decode.loss_normalized"] < 1.5


def test_the_root_folder_is_what_the_environment_names(monkeypatch):
    monkeypatch.delenv("PASCAL_SCRIBBLE_ROOT", raising=False)
    assert load(MOBILENET).train_dataloader.dataset.data_root == "data/pascal_scribble"
    monkeypatch.setenv("PASCAL_SCRIBBLE_ROOT", "/elsewhere")
    config = load("deeplabv3plus_r101_scribble")
    assert config.train_dataloader.dataset.data_root == "/elsewhere"
    assert config.val_dataloader.dataset.data_root == "/elsewhere"
    assert config.test_dataloader.dataset.data_root == "/elsewhere"


def test_the_sample_is_found_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    root = Path(load(f"{MOBILENET}_sample").train_dataloader.dataset.data_root)
    assert root.resolve() == CONFIGS.parent / "data" / "sample"


def test_one_option_names_the_pretrained_weights(tmp_path):
    donor = build(load(MOBILENET)).backbone
    nn.init.constant_(donor.conv1.conv.weight, 0.125)
    weights = tmp_path / "mobilenet_v2.pth"
    torch.save(donor.state_dict(), weights)

    config = load(MOBILENET)
    config.merge_from_dict({"model.pretrained": str(weights)})
    model = MODELS.build(config.model)
    model.init_weights()
    assert torch.equal(model.backbone.conv1.conv.weight, donor.conv1.conv.weight)


def test_one_option_trains_without_pretrained_weights():
    config = load(MOBILENET)
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg-options", nargs="+", action=DictAction)
    option = parser.parse_args(["--cfg-options", "model.pretrained=None"]).cfg_options
    config.merge_from_dict(option)
    model = MODELS.build(config.model)
    model.init_weights()  # would have to download, with the default
    assert model.backbone.conv1.conv.weight.std() > 0
