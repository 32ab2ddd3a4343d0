"""The Potts energy of neighbours against its sums in NumPy, over all pairs of pixels."""

import itertools

import numpy as np
import pytest
import torch

from mmseg_rloss import NeighbourPottsLoss, neighbour_potts_loss
from mmseg_rloss.ops import Scene
from mmseg_rloss.ops.neighbours import RELAXATIONS
from tests.ops.affinities import Case, random_case

SIGMA = 60.0
every_relaxation = pytest.mark.parametrize("relaxation", RELAXATIONS)


def case_with_a_fraction(*size) -> Case:
    """A case with holes in its region, and pixels that count by a half and a quarter."""
    case = random_case(*size)
    region = case.region.float()
    region[:, 2:4] *= 0.5
    region[:, :, 2:4] *= 0.5
    assert set(region.unique().tolist()) == {0, 0.25, 0.5, 1}
    return case._replace(region=region)


def cut_and_gradient(s: np.ndarray, t: np.ndarray, relaxation: str):
    """P(s, t) and its gradient with respect to s."""
    if relaxation == "bilinear":
        return 1 - s @ t, -t
    if relaxation == "quadratic":
        return ((s - t) ** 2).sum() / 2, s - t
    a, b = np.sqrt(s @ s), np.sqrt(t @ t)
    return 1 - s @ t / (a * b), s * (s @ t) / (a**3 * b) - t / (a * b)


def by_hand(case: Case, relaxation: str) -> tuple[float, torch.Tensor]:
    """The energy of a case at its size, and the gradient of its probabilities (N, K, H, W)."""
    image = case.image.double().permute(0, 2, 3, 1).numpy()
    probabilities = case.logits.softmax(1).detach().permute(0, 2, 3, 1).numpy()
    value, gradient = 0.0, np.zeros_like(probabilities)
    pixels = list(itertools.product(*map(range, case.region.shape[1:])))
    for n, region in enumerate(case.region.double().numpy()):
        cut, total = 0.0, 0.0
        for i, j in itertools.product(pixels, pixels):
            distance = np.hypot(i[0] - j[0], i[1] - j[1])
            if not 0 < distance < 1.5:
                continue
            colours = ((image[n][i] - image[n][j]) ** 2).sum()
            weight = np.exp(-colours / (2 * SIGMA**2)) * region[i] * region[j] / distance
            potts, pull = cut_and_gradient(probabilities[n][i], probabilities[n][j], relaxation)
            cut, total = cut + weight * potts, total + weight  # each pair counts twice in both
            gradient[n][i] += 2 * weight * pull
        value += cut / total / len(image)
        gradient[n] /= total * len(image)
    return value, torch.from_numpy(gradient).permute(0, 3, 1, 2)


@every_relaxation
@pytest.mark.parametrize("size, scale_factor", [((2, 3, 7, 6), 1), ((2, 4, 12, 10), 0.5)])
def test_value_and_gradient_are_those_of_the_sums(size, scale_factor, relaxation):
    case = case_with_a_fraction(*size)
    case.logits.requires_grad_()
    loss = neighbour_potts_loss(*case.maps, SIGMA, scale_factor, relaxation=relaxation)
    (gradient,) = torch.autograd.grad(loss, case.logits)

    small = case.at_scale(scale_factor)
    value, expected = by_hand(small, relaxation)
    assert 0.05 < value < 0.95
    assert loss.item() == pytest.approx(value, rel=1e-9)
    (expected,) = torch.autograd.grad(small.logits.softmax(1), case.logits, expected)
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


@every_relaxation
@pytest.mark.parametrize("size, scale_factor", [((1, 2, 4, 3), 1.0), ((1, 3, 6, 4), 0.5)])
def test_gradcheck(relaxation, size, scale_factor):
    case = random_case(*size)

    def loss(logits):
        maps = case._replace(logits=logits).maps
        return neighbour_potts_loss(*maps, SIGMA, scale_factor, relaxation=relaxation)

    logits = case.logits.requires_grad_()
    assert torch.autograd.gradcheck(loss, logits)
    assert torch.autograd.gradgradcheck(loss, logits)


def stripes(*labels: int) -> torch.Tensor:
    """(1, 3, 8, n) probabilities of columns of certain labels."""
    hard = torch.nn.functional.one_hot(torch.tensor(labels), 3).float()  # (n, 3)
    return hard.T[None, :, None].expand(1, 3, 8, -1)


@every_relaxation
def test_from_zero_for_one_class_to_one_where_no_neighbours_agree(relaxation):
    case = case_with_a_fraction(1, 3, 8, 12)
    image, _, region = case.maps
    one_class = stripes(*[1] * 12)
    assert neighbour_potts_loss(image, one_class, region, SIGMA, 1, relaxation=relaxation) == 0
    row = image[..., :1, :], stripes(*[0, 1, 2] * 4)[..., :1, :], torch.ones(1, 1, 12)
    loss = neighbour_potts_loss(*row, SIGMA, 1, relaxation=relaxation)
    assert loss.item() == pytest.approx(1, rel=1e-6)


def test_the_quadratic_ones_ask_for_agreement_the_bilinear_for_confidence_too():
    image, region = torch.full((1, 3, 8, 8), 90.0), torch.ones(1, 8, 8)
    unsure = torch.full((1, 3, 8, 8), 1 / 3)
    losses = {
        relaxation: neighbour_potts_loss(image, unsure, region, SIGMA, 1, relaxation=relaxation)
        for relaxation in RELAXATIONS
    }
    assert losses["bilinear"].item() == pytest.approx(2 / 3)
    assert losses["quadratic"] == 0
    assert losses["normalized_quadratic"].item() == pytest.approx(0, abs=1e-6)


def test_objects_cut_along_their_edges_cost_less():
    image = torch.full((1, 3, 8, 8), 40.0)
    image[..., 4:] = 200
    along = stripes(*[0] * 4, *[1] * 4)
    region = torch.ones(1, 8, 8)
    assert neighbour_potts_loss(image, along, region, 10, 1) < 1e-6
    assert neighbour_potts_loss(image, along.transpose(2, 3), region, 10, 1) > 0.05


@every_relaxation
def test_an_image_without_a_pair_is_zero_with_a_gradient_of_zero(relaxation):
    case = random_case(3)
    region = case.region.clone()
    region[0] = 0
    region[1] = 0
    region[1, 2, 3] = region[1, 5, 5] = 1  # pixels without a neighbour
    logits = case.logits.float().requires_grad_()
    maps = case.image, logits.softmax(1), region
    loss = neighbour_potts_loss(*maps, SIGMA, 1, relaxation=relaxation)
    (gradient,) = torch.autograd.grad(loss, logits)
    third = [tensor[2:] for tensor in maps]
    torch.testing.assert_close(
        loss, neighbour_potts_loss(*third, SIGMA, 1, relaxation=relaxation) / 3
    )
    assert not gradient[:2].any() and gradient[2].any() and gradient.isfinite().all()


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1)])
def test_maps_of_a_single_row_column_or_pixel(size):
    case = random_case(1, 3, *size)._replace(region=torch.ones(1, *size))
    loss = neighbour_potts_loss(*case.maps, SIGMA, 1)
    if size == (1, 1):
        assert loss == 0
    else:
        assert loss.item() == pytest.approx(by_hand(case, "quadratic")[0], rel=1e-9)


@pytest.mark.parametrize("sigma_rgb", [1e-3, 1e6])
def test_bandwidths_from_tiny_to_huge(sigma_rgb):
    """Pixels of one colour alone are neighbours, or all are."""
    image = torch.full((1, 3, 4, 6), 17.0)
    image[..., 3:] = 18
    halves = stripes(*[0] * 3, *[1] * 3)[..., :4, :]
    loss = neighbour_potts_loss(image, halves, torch.ones(1, 4, 6), sigma_rgb, 1)
    across = 4 + 6 / 2**0.5  # of the affinities at the edge
    along = 20 + 18 + 30 / 2**0.5
    assert loss.item() == pytest.approx(0 if sigma_rgb < 1 else across / along, rel=1e-5)


@every_relaxation
def test_from_logits_it_is_the_loss_of_their_probabilities(relaxation):
    case = case_with_a_fraction(2, 3, 11, 9)
    layer = NeighbourPottsLoss(3.0, SIGMA, 0.7, relaxation=relaxation)
    values = []
    for from_logits in (False, True):
        logits = case.logits.clone().requires_grad_()
        maps = case._replace(logits=logits).maps
        scene = Scene(case.image, case.region)
        loss = layer.from_logits(scene, logits) if from_logits else layer(*maps)
        values.append((loss, torch.autograd.grad(loss, logits)[0]))
    torch.testing.assert_close(*values)
    expected = neighbour_potts_loss(*case.maps, SIGMA, 0.7, relaxation=relaxation)
    torch.testing.assert_close(values[0][0], 3 * expected)


@every_relaxation
def test_every_relaxation_compiles_without_a_graph_break(relaxation):
    torch.compiler.reset()
    case = random_case()
    layer = NeighbourPottsLoss(1.0, SIGMA, 0.5, relaxation=relaxation)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*case.maps), layer(*case.maps))


def test_losses_of_one_scene_share_its_neighbours():
    case = random_case()
    scene = Scene(case.image, case.region)
    layers = [NeighbourPottsLoss(1.0, SIGMA, 0.5, relaxation=name) for name in RELAXATIONS]
    shared = {id(layer.affinities(scene)) for layer in layers}
    assert len(shared) == 1 and id(scene.neighbours(2 * SIGMA, 0.5)) not in shared
    assert scene.neighbours(SIGMA, 0.5).weights[0].dtype == torch.float32
    assert scene.neighbours(SIGMA, 0.5, torch.float64).weights[0].dtype == torch.float64


def test_an_image_that_is_not_finite_is_refused_within_the_region_alone():
    case = random_case()
    image = case.image.clone()
    image[case.region.unsqueeze(1).expand_as(image) == 0] = torch.nan
    expected = Scene(case.image, case.region).neighbours(SIGMA, 1)
    actual = Scene(image, case.region).neighbours(SIGMA, 1)
    torch.testing.assert_close(actual, expected)
    with pytest.raises(ValueError, match="image over the bandwidth must be finite .* larger"):
        Scene(torch.full_like(image, torch.nan), case.region).neighbours(SIGMA, 1)
    with pytest.raises(ValueError, match="image over the bandwidth must be finite .* larger"):
        Scene(torch.full_like(image, 17), case.region).neighbours(1e-200, 1)


@pytest.mark.parametrize("relaxation, error", [("hard", ValueError), (None, TypeError)])
def test_a_relaxation_there_is_not_is_refused_with_the_choices(relaxation, error):
    for build in (
        lambda: NeighbourPottsLoss(1.0, SIGMA, 1, relaxation=relaxation),
        lambda: neighbour_potts_loss(*random_case().maps, SIGMA, 1, relaxation=relaxation),
    ):
        with pytest.raises(error, match="relaxation must be"):
            build()
    with pytest.raises(ValueError, match="bilinear, quadratic, normalized_quadratic, not 'hard'"):
        NeighbourPottsLoss(1.0, SIGMA, 1, relaxation="hard")
