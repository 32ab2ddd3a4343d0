"""Every loss that MMSegmentation builds by name, against the function it stands for."""

import inspect

import pytest
import torch
from mmseg.registry import MODELS
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmseg_rloss import (
    dense_energy_loss,
    kernel_cut_loss,
    neighbour_potts_loss,
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
from tests.ops.energies import ENERGIES

PARAMETERS = dict(sigma_rgb=15.0, sigma_xy=10.0, scale_factor=0.5)
DEFAULTS = {
    "DenseCRFLoss": dict(weight=1.5e-9, sigma_rgb=15, sigma_xy=100, normalize=False),
    "DenseEnergyLoss": dict(weight=1.5e-9, sigma_rgb=15, sigma_xy=100),
    "NormalizedCutLoss": dict(weight=0.1, sigma_rgb=15, sigma_xy=100),
    "KernelCutLoss": dict(weight=0.1, sigma_rgb=15, sigma_xy=100, densecrf_weight=15),
    "SelfLabelLoss": dict(
        weight=1.5, sigma_rgb=12, sigma_xy=64, class_balance=0.5, label_balance=0
    ),
    "NeighbourPottsLoss": dict(weight=1, sigma_rgb=10, relaxation="quadratic"),
}


def build(kind="DenseCRFLoss", **arguments):
    given = ENERGIES[kind].parameters(**PARAMETERS)
    return MODELS.build(dict(type=kind, **given) | arguments)


@pytest.fixture(params=[*ENERGIES, "normalized DenseCRFLoss"])
def config(request) -> dict:
    kind = request.param.split()[-1]
    normalize = dict(normalize=True) if request.param.startswith("normalized ") else {}
    return dict(type=kind, **ENERGIES[kind].parameters(**PARAMETERS), **normalize)


def energy(config, image, probabilities, region, label):
    """The un-weighted loss of a config, by the function."""
    energy = ENERGIES[config["type"]]
    layer = MODELS.build(config).layer
    options = {option: getattr(layer, option) for option in energy.options}
    maps = image, probabilities, region, *([label] if layer.takes_labels else [])
    return energy.function(*maps, **energy.parameters(**PARAMETERS), **options)


@pytest.fixture
def batch():
    torch.manual_seed(0)
    image = torch.randint(0, 256, (2, 3, 12, 16)).float()
    region = torch.ones(2, 12, 16)
    region[0, :, 13:] = 0
    label = torch.randint(0, 4, (2, 12, 16))
    label[torch.rand(label.shape) < 0.5] = 255
    return image, region, label


@pytest.mark.parametrize("kind", DEFAULTS)
def test_defaults(kind):
    layer = MODELS.build(dict(type=kind)).layer
    expected = DEFAULTS[kind] | dict(scale_factor=0.5)
    assert {name: getattr(layer, name) for name in expected} == expected


@pytest.mark.parametrize("kind", ENERGIES)
def test_name_in_the_log(kind):
    assert MODELS.build(dict(type=kind)).loss_name == f"loss_{ENERGIES[kind].name}"
    assert MODELS.build(dict(type=kind, loss_name="loss_far")).loss_name == "loss_far"


def test_a_loss_shows_the_parameters_of_its_layer_under_their_names(config):
    loss = MODELS.build(config | dict(loss_weight=3.0))
    names = set(inspect.signature(type(loss.layer)).parameters) - {"weight", "value_range"}
    assert {"sigma_rgb", "scale_factor"} <= names
    for name in names:
        assert getattr(loss, name) == getattr(loss.layer, name)
        with pytest.raises(AttributeError):
            setattr(loss, name, 7.0)
    assert loss.sigma_rgb == PARAMETERS["sigma_rgb"]
    assert hasattr(loss, "sigma_xy") == ("sigma_xy" in names)
    loss.loss_weight = 5.0
    assert loss.loss_weight == loss.layer.weight == 5


def test_the_relaxation_can_be_chosen(batch):
    image, region, label = batch
    logits = torch.randn(2, 4, 12, 16)
    loss = build("NeighbourPottsLoss", relaxation="bilinear")
    loss.provide(image, region)
    maps = image, logits.softmax(1), region
    expected = neighbour_potts_loss(*maps, 15.0, 0.5, relaxation="bilinear")
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
    loss = build("KernelCutLoss", loss_weight=1, densecrf_weight=5)
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 4])
def test_extreme_logits_give_finite_gradients(config, batch, channels, dtype):
    image, region, label = batch
    logits = (1e4 * torch.randn(2, channels, 12, 16)).to(dtype).requires_grad_()
    loss = MODELS.build(config)
    loss.provide(image, region)
    value = loss(logits, torch.where(label > 1, 255, label))  # classes of one channel, too
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


def test_one_channel_is_the_foreground_of_two(config, batch):
    image, region, label = batch
    foreground = torch.randn(2, 1, 12, 16, dtype=torch.float64)
    loss = MODELS.build(config)
    loss.provide(image, region)
    label = torch.where(label > 1, 255, label)
    both = torch.cat([torch.zeros_like(foreground), foreground], dim=1)
    torch.testing.assert_close(loss(foreground, label), loss(both, label))


def test_logits_of_another_size_are_scaled_to_the_images(config, batch):
    image, region, label = batch
    logits = torch.randn(2, 4, 3, 4)
    loss = MODELS.build(config)
    loss.provide(image, region)
    full_size = F.interpolate(logits, (12, 16), mode="bilinear")
    torch.testing.assert_close(loss(logits, label), loss(full_size, label))


def test_nothing_of_it_is_saved_with_the_network(config, batch):
    loss = MODELS.build(config)
    loss.provide(*batch[:2])
    assert loss.state_dict() == {}


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
    loss = build("DenseEnergyLoss", loss_weight=1)
    loss.provide(image, region)
    value = loss(logits, ours, ignore_index=ignore_index)
    expected = dense_energy_loss(image, logits.softmax(1), region, label, **PARAMETERS)
    torch.testing.assert_close(value, expected)


def test_self_labelling_takes_the_classes_and_the_heads_ignore_index(batch):
    image, region, label = batch
    logits = torch.randn(2, 4, 12, 16)
    loss = build("SelfLabelLoss", loss_weight=1)
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
    loss = build("DenseEnergyLoss")
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
        value = losses_of(model, batch)[f"decode.loss_{ENERGIES[config['type']].name}"]
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


def test_it_compiles_once_for_all_batches_without_a_graph_break(config, batch):
    torch.compiler.reset()
    counter = CompileCounterWithBackend("aot_eager")
    check_compiled(MODELS.build(config), batch, counter)
    assert counter.frame_count == 1


def test_losses_of_several_parameters_compile_without_a_graph_break(batch):
    torch.compiler.reset()
    for sigma_xy in (3.0, 10.0, 7.0):
        check_compiled(build(sigma_xy=sigma_xy), batch, "aot_eager")


def check_compiled(loss, batch, backend):
    image, region, label = batch
    compiled = torch.compile(loss, backend=backend, fullgraph=True)
    for seed in range(3):
        torch.manual_seed(seed)
        logits = torch.randn(2, 4, 12, 16, requires_grad=True)
        loss.provide(image.roll(seed, dims=3), region)
        (actual,) = torch.autograd.grad(compiled(logits, label), logits)
        (expected,) = torch.autograd.grad(loss(logits, label), logits)
        torch.testing.assert_close(actual, expected)
        loss.take_back()


@pytest.mark.parametrize("kind", ENERGIES)
def test_without_images_it_names_itself_and_the_lines_to_add(kind, batch):
    image, region, label = batch
    loss = build(kind)
    loss.provide(image, region)
    loss.take_back()
    with pytest.raises(RuntimeError, match=f"^{kind} has no images") as error:
        loss(torch.zeros(2, 2, 12, 16), label)
    for line in (
        "custom_imports = dict(imports=['mmseg_rloss'])",
        "custom_hooks = [dict(type='ProvideImagesHook')]",
        "provide_images(model)",
        "mode='loss'",
    ):
        assert line in str(error.value)


@pytest.mark.parametrize("kind", ENERGIES)
def test_logits_that_are_not_maps_of_the_batch_are_refused_with_the_way_out(kind, batch):
    image, region, label = batch
    loss = build(kind)
    loss.provide(image, region)
    way_out = rf"\(2, 4, 7\).*PointHead, cannot use {kind}: list it .* a head that predicts maps"
    with pytest.raises(ValueError, match=way_out):
        loss(torch.zeros(2, 4, 7), label)
    with pytest.raises(ValueError, match=r"seg_logits \(3, 4, 12, 16\).*differ in N"):
        loss(torch.zeros(3, 4, 12, 16), label)


def test_heads_that_cannot_use_losses_are_reported_with_their_names():
    head = dict(type="DDRHead", in_channels=4, channels=4, num_classes=3)
    losses = [dict(type="OhemCrossEntropy"), *(dict(type=kind) for kind in ENERGIES)]
    network = torch.nn.ModuleDict(dict(head=MODELS.build(head | dict(loss_decode=losses))))
    kinds = " or ".join(sorted(ENERGIES))
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
