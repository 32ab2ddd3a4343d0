"""Every loss that MMSegmentation builds by name, against the function it stands for."""

import pytest
import torch
from mmseg.registry import MODELS
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmseg_rloss import (
    dense_energy_loss,
    densecrf_loss,
    kernel_cut_loss,
    neighbour_potts_loss,
    normalized_cut_loss,
    provide_images,
    self_label_loss,
)
from mmseg_rloss.models import RegularizedLoss
from mmseg_rloss.models.head_check import check_heads
from mmseg_rloss.ops import DenseCRFLoss as DenseCRFLayer
from mmseg_rloss.ops import Scene
from tests.engine.segmentors import (
    IMAGENET,
    build_segmentor,
    losses_of,
    packed_batch,
    random_images,
)

PARAMETERS = dict(sigma_rgb=15.0, sigma_xy=10.0, scale_factor=0.5)
NEIGHBOURS = dict(sigma_rgb=15.0, scale_factor=0.5)
NAMES = {
    "DenseCRFLoss": "loss_densecrf",
    "DenseEnergyLoss": "loss_dense_energy",
    "NormalizedCutLoss": "loss_normalized_cut",
    "KernelCutLoss": "loss_kernel_cut",
    "SelfLabelLoss": "loss_self_label",
    "NeighbourPottsLoss": "loss_neighbour_potts",
}


@pytest.fixture(params=[*NAMES, "normalized DenseCRFLoss"])
def config(request) -> dict:
    if request.param == "NeighbourPottsLoss":
        return dict(type=request.param, **NEIGHBOURS)
    normalize = dict(normalize=True) if request.param.startswith("normalized ") else {}
    return dict(type=request.param.split()[-1], **PARAMETERS, **normalize)


def energy(config, image, probabilities, region, label):
    """The un-weighted loss of a config, by the function."""
    maps = image, probabilities, region
    if config["type"] == "DenseEnergyLoss":
        return dense_energy_loss(*maps, label, **PARAMETERS)
    if config["type"] == "SelfLabelLoss":
        return self_label_loss(*maps, label, **PARAMETERS)
    if config["type"] == "NeighbourPottsLoss":
        return neighbour_potts_loss(*maps, **NEIGHBOURS)
    if config["type"] == "DenseCRFLoss":
        return densecrf_loss(*maps, **PARAMETERS, normalize=config.get("normalize", False))
    if config["type"] == "KernelCutLoss":
        return kernel_cut_loss(*maps, **PARAMETERS, densecrf_weight=15.0)
    return normalized_cut_loss(*maps, **PARAMETERS)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    image = torch.randint(0, 256, (2, 3, 12, 16)).float()
    region = torch.ones(2, 12, 16)
    region[0, :, 13:] = 0
    label = torch.randint(0, 4, (2, 12, 16))
    label[torch.rand(label.shape) < 0.5] = 255
    return image, region, label


@pytest.mark.parametrize(
    "kind, weight, sigma_rgb",
    [
        ("DenseCRFLoss", 1.5e-9, 15),
        ("DenseEnergyLoss", 1.5e-9, 15),
        ("NormalizedCutLoss", 0.1, 15),
        ("KernelCutLoss", 0.1, 15),
        ("SelfLabelLoss", 1, 10),
    ],
)
def test_defaults_and_name_in_the_log(kind, weight, sigma_rgb):
    loss = MODELS.build(dict(type=kind))
    layer = loss.layer
    parameters = layer.weight, layer.sigma_rgb, layer.sigma_xy, layer.scale_factor
    assert parameters == (weight, sigma_rgb, 100, 0.5)
    assert loss.loss_name == NAMES[kind]
    assert MODELS.build(dict(type=kind, loss_name="loss_far")).loss_name == "loss_far"


def test_defaults_of_the_loss_that_has_no_bandwidth_of_the_position():
    loss = MODELS.build(dict(type="NeighbourPottsLoss"))
    layer = loss.layer
    parameters = layer.weight, layer.sigma_rgb, layer.scale_factor, layer.relaxation
    assert parameters == (1, 10, 0.5, "quadratic")
    assert loss.loss_name == NAMES["NeighbourPottsLoss"]


def test_the_relaxation_can_be_chosen(batch):
    image, region, label = batch
    logits = torch.randn(2, 4, 12, 16)
    loss = MODELS.build(dict(type="NeighbourPottsLoss", relaxation="bilinear", **NEIGHBOURS))
    loss.provide(image, region)
    maps = image, logits.softmax(1), region
    expected = neighbour_potts_loss(*maps, **NEIGHBOURS, relaxation="bilinear")
    torch.testing.assert_close(loss(logits, label), expected)


def test_the_normalized_energy_has_a_default_weight_of_its_own():
    assert MODELS.build(dict(type="DenseCRFLoss", normalize=True)).layer.weight == 1.5
    given = dict(type="DenseCRFLoss", normalize=True, loss_weight=0.125)
    assert MODELS.build(given).layer.weight == 0.125


def test_value_and_gradient_are_those_of_the_softmax(config, batch):
    image, region, label = batch
    logits = torch.randn(2, 4, 12, 16, dtype=torch.float64, requires_grad=True)
    loss = MODELS.build(config | dict(loss_weight=3.0))
    loss.provide(image, region)
    value = loss(logits, label, weight=None, ignore_index=255)
    expected = 3 * energy(config, image, logits.softmax(1), region, label)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(
        torch.autograd.grad(value, logits), torch.autograd.grad(expected, logits)
    )


def test_the_weight_within_the_kernel_cut_can_be_chosen(batch):
    image, region, label = batch
    logits = torch.randn(2, 4, 12, 16)
    loss = MODELS.build(dict(type="KernelCutLoss", loss_weight=1, densecrf_weight=5, **PARAMETERS))
    loss.provide(image, region)
    maps = image, logits.softmax(1), region
    expected = kernel_cut_loss(*maps, **PARAMETERS, densecrf_weight=5)
    torch.testing.assert_close(loss(logits, label), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(config, batch, dtype):
    image, region, label = batch
    logits = (5 * torch.randn(2, 4, 12, 16)).to(dtype)
    loss = MODELS.build(config)
    loss.provide(image, region)
    with torch.autocast("cpu", dtype=dtype):
        value = loss(logits, label)
    assert value.dtype == torch.float32
    assert value == loss(logits.float(), label)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_reach_an_energy_of_matrices(batch, dtype):
    class Correlation(DenseCRFLayer):
        """An energy of products that autocast computes in half precision."""

        def energy(self, segmentation, affinities):
            rows = segmentation.probabilities().flatten(2)  # (N, K, P)
            return (rows @ rows.mT).sum()

    image, region, label = batch
    logits = torch.randn(2, 4, 12, 16)
    loss = RegularizedLoss(Correlation(1.0, **PARAMETERS), "loss_correlation")
    loss.provide(image, region)
    expected = loss(logits, label)
    with torch.autocast("cpu", dtype=dtype):
        actual = loss(logits, label)
    assert actual.dtype == torch.float32 and actual == expected


def test_extreme_logits_give_finite_gradients(config, batch):
    image, region, label = batch
    logits = (1e4 * torch.randn(2, 4, 12, 16)).requires_grad_()
    loss = MODELS.build(config)
    loss.provide(image, region)
    value = loss(logits, label)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


def test_a_weight_of_zero_filters_nothing_and_gives_gradients_of_zero(config, batch, monkeypatch):
    image, region, label = batch
    monkeypatch.setattr(Scene, "lattice", None)
    monkeypatch.setattr(Scene, "neighbours", None)
    loss = MODELS.build(config | dict(loss_weight=0))
    loss.provide(image, region)
    logits = torch.randn(2, 4, 12, 16, dtype=torch.float16, requires_grad=True)
    value = loss(logits, label)
    value.backward()
    assert value == 0 and value.dtype == torch.float32
    assert logits.grad.shape == logits.shape and not logits.grad.any()


@pytest.mark.parametrize("weight", ["2e-9", float("nan"), float("inf"), [1], True])
@pytest.mark.parametrize("kind", NAMES)
def test_a_weight_that_is_not_a_finite_number_is_refused_when_built(kind, weight):
    with pytest.raises((TypeError, ValueError), match="loss_weight must be"):
        MODELS.build(dict(type=kind, loss_weight=weight))


def test_a_suspended_loss_is_zero_until_its_batch_is_taken_back(config, batch):
    image, region, label = batch
    loss = MODELS.build(config | dict(loss_weight=3.0))
    logits = torch.randn(2, 4, 12, 16)
    loss.suspend()
    loss.provide(image, region)
    assert loss(logits, label) == 0
    loss.take_back()
    loss.provide(image, region)
    assert loss(logits, label) != 0 and loss.loss_weight == 3


@pytest.mark.parametrize("ignore_index", [255, 0, -100, None])
def test_the_ignore_index_of_the_head_marks_the_unlabelled(batch, ignore_index):
    image, region, label = batch
    without_label = -100 if ignore_index is None else ignore_index
    # 255 is a class like any other where another index is ignored.
    ours = torch.where(label == 255, without_label, 255 if without_label == 0 else label)
    logits = torch.randn(2, 4, 12, 16)
    loss = MODELS.build(dict(type="DenseEnergyLoss", **PARAMETERS, loss_weight=1))
    loss.provide(image, region)
    value = loss(logits, ours, ignore_index=ignore_index)
    expected = dense_energy_loss(image, logits.softmax(1), region, label, **PARAMETERS)
    torch.testing.assert_close(value, expected)


def test_self_labelling_takes_the_classes_and_the_heads_ignore_index(batch):
    image, region, label = batch
    logits = torch.randn(2, 4, 12, 16)
    loss = MODELS.build(dict(type="SelfLabelLoss", **PARAMETERS))
    loss.provide(image, region)
    expected = self_label_loss(image, logits.softmax(1), region, label, **PARAMETERS)
    ours = torch.where(label == 255, -1, label)
    torch.testing.assert_close(loss(logits, ours, ignore_index=-1), expected)
    small = label[:, ::2, ::2]
    large = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert loss(logits, small) == loss(logits, large)


def test_labels_of_another_size_are_scaled_to_the_images(batch):
    image, region, label = batch
    logits = torch.randn(2, 4, 12, 16)
    loss = MODELS.build(dict(type="DenseEnergyLoss", **PARAMETERS))
    loss.provide(image, region)
    small = label[:, ::2, ::2]
    large = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert not torch.equal(large, label)
    assert loss(logits, small) == loss(logits, large)


def test_a_network_gets_the_gradient_of_its_images_and_labels(config):
    model = build_segmentor(losses=[config | dict(loss_weight=1e-2)], **IMAGENET)
    images = random_images((16, 24), (16, 24))
    batch = packed_batch(images)
    for sample in batch["data_samples"]:
        sample.gt_sem_seg.data[:, 5:] = 255
    labels = torch.cat([sample.gt_sem_seg.data for sample in batch["data_samples"]])
    with provide_images(model):
        value = losses_of(model, batch)[f"decode.{NAMES[config['type']]}"]
    inputs = model.data_preprocessor(packed_batch(images), True)["inputs"]
    logits = F.interpolate(model(inputs, mode="tensor"), (16, 24), mode="bilinear")
    tensor = torch.stack([torch.from_numpy(image[..., ::-1].copy()) for image in images])
    maps = tensor.permute(0, 3, 1, 2), logits.softmax(1), torch.ones(2, 16, 24)
    expected = 1e-2 * energy(config, *maps, labels)
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=0)
    weights = list(model.decode_head.parameters())
    for actual, wanted in zip(
        torch.autograd.grad(value, weights, allow_unused=True, materialize_grads=True),
        torch.autograd.grad(expected, weights, allow_unused=True, materialize_grads=True),
        strict=True,
    ):
        torch.testing.assert_close(actual, wanted, rtol=1e-3, atol=1e-6)


def test_it_compiles_without_a_graph_break(config, batch):
    torch.compiler.reset()
    image, region, label = batch
    loss = MODELS.build(config)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    logits = torch.randn(2, 4, 12, 16, requires_grad=True)
    loss.provide(image, region)
    (actual,) = torch.autograd.grad(compiled(logits, label), logits)
    (expected,) = torch.autograd.grad(loss(logits, label), logits)
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("kind", NAMES)
def test_messages_name_the_loss(kind, batch):
    image, region, label = batch
    loss = MODELS.build(dict(type=kind))
    with pytest.raises(RuntimeError, match=f"^{kind} has no images"):
        loss(torch.zeros(2, 2, 12, 16), label)
    loss.provide(image, region)
    with pytest.raises(ValueError, match=f"cannot use {kind}: list it"):
        loss(torch.zeros(2, 4, 7), label)
    with pytest.raises(ValueError, match="sigma_rgb must be"):
        MODELS.build(dict(type=kind, sigma_rgb=0))


def test_heads_that_cannot_use_losses_are_reported_with_their_names():
    head = dict(type="DDRHead", in_channels=4, channels=4, num_classes=3)
    losses = [dict(type="OhemCrossEntropy"), *(dict(type=kind) for kind in NAMES)]
    network = torch.nn.ModuleDict(dict(head=MODELS.build(head | dict(loss_decode=losses))))
    kinds = " or ".join(sorted(NAMES))
    with pytest.raises(ValueError, match=f"head is a DDRHead, which cannot use {kinds}"):
        check_heads(network)


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_activation_checkpointing_around_the_head_is_told_apart(use_reentrant):
    model = build_segmentor(**IMAGENET)
    by_feat = model.decode_head.loss_by_feat
    keys = []

    def checkpointed(logits, samples):
        def run(logits):
            losses = by_feat(logits, samples)
            keys[:] = losses
            return tuple(losses.values())

        values = checkpoint(run, logits, use_reentrant=use_reentrant)
        return dict(zip(keys, values, strict=True))

    model.decode_head.loss_by_feat = checkpointed
    with provide_images(model):
        losses = losses_of(model, packed_batch(random_images((16, 16))))
        with pytest.raises(RuntimeError, match=r"(?s)activation\ncheckpointing .*with_cp=True"):
            losses["decode.loss_densecrf"].backward()
