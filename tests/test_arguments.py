"""Every number, count and flag of every public callable: what is wrong is refused by its name."""

import functools

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import HOOKS, MODELS

from mmseg_rloss import ops, provide_images
from tests.engine.segmentors import build_segmentor, segmentor_config
from tests.ops.affinities import random_case
from tests.ops.energies import ENERGIES

NOT_NUMBERS = ["2e-9", "fast", True, [1.0], {}, torch.ones(1), np.ones(()), 1j]
NOT_FINITE = [float("nan"), float("inf"), -float("inf"), 10**400, torch.tensor(torch.nan)]
POSITIVE = [None, *NOT_NUMBERS, *NOT_FINITE, 0, -1.0]
FRACTION = [*POSITIVE, 1.5, torch.tensor(2)]
FINITE = [None, *NOT_NUMBERS, *NOT_FINITE]
NOT_NEGATIVE = [*FINITE, -1.0]
SHARE = [*NOT_NEGATIVE, 1.5, torch.tensor(2)]
COUNT = ["3", None, True, 2.5, float("nan"), -1, 1 << 31, 10**400, torch.tensor(2.0), np.ones(1)]
FLAG = ["False", "no", 0, 1, None, 1.0, [], torch.tensor(True)]
RANGE = ["0-255", "None", 255, True, (0,), (0, 1, 2), (1, 0), (3, 3), ("0", "255"), (0, None)]
RANGE += [(0, float("nan")), (0, 10**400), (False, True), {}, np.array([0, 255])]
NAME = [None, 3, True, ["loss"]]
TAGS = ["cat", [[True] * 3] * 2, torch.ones(2, 3), torch.ones(2, 4, dtype=torch.bool)]

ENERGY = dict(sigma_rgb=POSITIVE, sigma_xy=POSITIVE, scale_factor=FRACTION)
NEIGHBOURS = dict(sigma_rgb=POSITIVE, scale_factor=FRACTION)
IMAGES = dict(value_range=RANGE)
# What single energies have besides: by its name, or else by its type.
OPTIONS = dict(
    densecrf_weight=POSITIVE,
    class_balance=SHARE,
    label_balance=SHARE,
    relaxation=[*NAME, "Quadratic", ""],
)
OF_TYPE = dict(bool=FLAG, float=FINITE, int=COUNT, str=NAME)


def build(name):
    registry = HOOKS if name.endswith("Hook") else MODELS
    return lambda **arguments: registry.build(dict(type=name) | arguments)


GIVEN = dict(weight=1.0, sigma_rgb=15.0, sigma_xy=9.0, scale_factor=1.0)


def function(energy):
    """The function of an energy, on small maps."""
    case = random_case()
    maps = [*case.maps, *([case.label] if energy.layer.takes_labels else [])]
    given = energy.parameters(**GIVEN)
    del given["weight"]
    return lambda **arguments: energy.function(*maps, **given | arguments)


def layer(energy):
    return lambda **arguments: energy.layer(**energy.parameters(**GIVEN) | arguments)


def refine(**arguments):
    image, probabilities, _ = random_case().maps
    ops.dense_crf_inference(image, probabilities, **dict(iterations=1) | arguments)


def filter_by_image(**arguments):
    image, values, _ = random_case().maps
    ops.bilateral_filter(image, values, **dict(sigma_rgb=15.0, sigma_xy=9.0) | arguments)


def filter_by_features(**arguments):
    ops.permutohedral_filter(torch.rand(1, 2, 5), torch.rand(1, 1, 5), **arguments)


def lattices_of_scene(method, **arguments):
    image, _, region = random_case().maps
    given = dict(sigma_rgb=15.0, sigma_xy=9.0, scale_factor=1.0)
    getattr(ops.Scene(image, region), method)(**given | arguments)


def neighbours_of_scene(**arguments):
    image, _, region = random_case().maps
    ops.Scene(image, region).neighbours(**dict(sigma_rgb=15.0, scale_factor=1.0) | arguments)


def provided_loss(**arguments):
    loss = MODELS.build(dict(type="DenseCRFLoss"))
    image, _, region = random_case().maps
    loss.provide(**dict(image=image, region_of_interest=region) | arguments)


def set_weight(loss_weight):
    MODELS.build(dict(type="DenseCRFLoss")).loss_weight = loss_weight


def refining_segmentor(**arguments):
    config = segmentor_config() | dict(type="DenseCRFEncoderDecoder")
    crf = {name: arguments.pop(name) for name in list(arguments) if name in INFERENCE}
    MODELS.build(config | (dict(dense_crf=crf) if crf else {}) | arguments)


INFERENCE = dict(
    iterations=COUNT,
    bilateral_weight=NOT_NEGATIVE,
    bilateral_sigma_xy=POSITIVE,
    bilateral_sigma_rgb=POSITIVE,
    gaussian_weight=NOT_NEGATIVE,
    gaussian_sigma_xy=POSITIVE,
)
CALLABLES = {
    "bilateral_filter": (
        filter_by_image,
        dict(sigma_rgb=POSITIVE, sigma_xy=POSITIVE, symmetric=FLAG),
    ),
    "permutohedral_filter": (filter_by_features, dict(symmetric=FLAG)),
    "Scene.lattice": (functools.partial(lattices_of_scene, "lattice"), ENERGY),
    "Scene.label_affinities": (functools.partial(lattices_of_scene, "label_affinities"), ENERGY),
    "Scene.neighbours": (neighbours_of_scene, NEIGHBOURS),
    "RegularizedLoss.provide": (
        provided_loss,
        IMAGES
        | dict(image=[None, np.zeros((2, 3, 6, 8)), torch.zeros(3, 6, 8)])
        | dict(region_of_interest=[None, torch.ones(2, 6, 9), torch.ones(2, 6, 8) * 255]),
    ),
    "RegularizedLoss.loss_weight": (set_weight, dict(loss_weight=FINITE)),
    "dense_crf_inference": (refine, INFERENCE | IMAGES),
    "DenseCRFEncoderDecoder": (
        refining_segmentor,
        INFERENCE | IMAGES | dict(dense_crf=["iterations", 3, True, [1]]),
    ),
    "set_num_threads": (
        lambda count: ops.set_num_threads(count),
        dict(count=[*(bad for bad in COUNT if bad is not None), 0]),
    ),
    "provide_images": (
        lambda **arguments: provide_images(**dict(model=build_segmentor()) | arguments),
        IMAGES | dict(model=[None, "model", 3]),
    ),
    "ProvideImagesHook": (build("ProvideImagesHook"), IMAGES),
    "RegularizedLossWarmupHook": (build("RegularizedLossWarmupHook"), dict(iters=COUNT)),
    "DenseCRFVisualizationHook": (
        build("DenseCRFVisualizationHook"),
        dict(interval=[*COUNT, 0]),
    ),
}
for name, energy in ENERGIES.items():
    parameters = energy.parameters(**ENERGY)
    parameters |= {option: OPTIONS.get(option, OF_TYPE[t]) for option, t in energy.options.items()}
    CALLABLES |= {
        name: (build(name), parameters | dict(loss_weight=FINITE, loss_name=NAME)),
        f"the layer {name}": (layer(energy), parameters | IMAGES | dict(weight=FINITE)),
        energy.function.__name__: (function(energy), parameters | IMAGES),
    }
CALLABLES["self_label_loss"][1]["image_tags"] = TAGS
CALLABLES["soft_labels"] = (
    function(ENERGIES["SelfLabelLoss"]._replace(function=ops.soft_labels)),
    ENERGY | IMAGES | dict(image_tags=TAGS, label_balance=SHARE),
)
CASES = [(name, argument) for name, (_, bad) in CALLABLES.items() for argument in bad]


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope("mmseg")


@pytest.mark.parametrize("name, argument", CASES)
def test_what_is_wrong_is_refused_by_name(name, argument):
    function, bad = CALLABLES[name]
    for value in bad[argument]:
        if value is None and (name, argument) == ("DenseCRFLoss", "loss_weight"):
            continue  # stands for the default
        with pytest.raises((TypeError, ValueError), match=rf"\b{argument}(\[\d\])? must "):
            function(**{argument: value})
            pytest.fail(f"{value!r} was taken")


def of_every_kind(value):
    return [np.float32(value), np.float64(value), torch.tensor(value), torch.tensor(value).double()]


@pytest.mark.parametrize("name, argument", CASES)
def test_numbers_of_numpy_and_torch_are_numbers(name, argument):
    function, bad = CALLABLES[name]
    if bad[argument] in (POSITIVE, FRACTION, FINITE, NOT_NEGATIVE, SHARE):
        for value in of_every_kind(0.5):
            function(**{argument: value})
    elif bad[argument][:2] == COUNT[:2]:
        for value in (np.int64(3), np.uint8(3), torch.tensor(3)):
            function(**{argument: value})
    elif bad[argument] is RANGE:
        function(value_range=(np.float32(0), torch.tensor(255)))
        function(value_range=[0, 255])
        function(value_range=None)


def test_a_bandwidth_is_not_learnt():
    sigma = torch.tensor(15.0, requires_grad=True)
    with pytest.raises(ValueError, match=r"sigma_rgb must not require a gradient.*\.item\(\)"):
        ops.DenseCRFLoss(1.0, sigma, 9.0, 1.0)


def test_a_name_that_is_never_trained_by_is_warned_of():
    with pytest.warns(UserWarning, match="'densecrf' does not contain 'loss'.*'loss_densecrf'"):
        MODELS.build(dict(type="DenseCRFLoss", loss_name="densecrf"))
