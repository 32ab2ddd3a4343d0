"""Self-labelling against its sums, stated anew in NumPy pixel by pixel."""

import numpy as np
import pytest
import torch

from mmseg_rloss import SelfLabelLoss, self_label_loss, soft_labels
from mmseg_rloss.ops import Scene
from mmseg_rloss.ops.colours import to_lab
from mmseg_rloss.ops.lattice import Lattice
from tests.ops.affinities import SIGMAS, random_case

TAGS = torch.tensor([[True, True, False], [True, True, True]])


def ascending_affinities(image, sigma_rgb, sigma_xy) -> np.ndarray:
    """A (N, P, P) of one order of the blur: what it makes of each pixel alone."""
    n, _, height, width = image.shape
    units = torch.eye(height * width, dtype=torch.float64).view(1, -1, height, width)
    lattice = Lattice.from_image(to_lab(image.double()), sigma_rgb, sigma_xy)
    filtered = lattice.filter(units.expand(n, -1, -1, -1), symmetric=False)
    return filtered.flatten(2).transpose(1, 2).numpy()


def labels_by_hand(
    probabilities, region, of_scribbles, of_pixels, label, tags, label_balance
) -> np.ndarray:
    """The soft labels (K, P) of one image, from probabilities (K, P) times the region (P,)."""
    classes, pixels = probabilities.shape
    inside = [p for p in range(pixels) if region[p]]
    labelled = [p for p in inside if label[p] != 255]
    allowed = [bool(tags[k]) or any(label[p] == k for p in labelled) for k in range(classes)]
    favour = [
        (sum(probabilities[k, p] for p in inside) / len(inside) + 0.01) ** -label_balance
        if any(label[p] == k for p in labelled)
        else 1
        for k in range(classes)
    ]
    scores = np.full((classes, pixels), -np.inf)
    for p in range(pixels):
        near = [sum(of_scribbles[p, q] for q in labelled if label[q] == k) for k in range(classes)]
        for k in range(classes):
            if allowed[k]:
                share = (near[k] + 0.05 / sum(allowed)) / (sum(near) + 0.05)
                likely = max(probabilities[k, p], 1e-5) * favour[k] * max(share, 1e-5)
                scores[k, p] = np.log(likely)

    def distribute(scores):
        soft = np.exp(scores - scores.max(0))
        soft /= soft.sum(0)
        for p in range(pixels):
            if label[p] != 255:
                soft[:, p] = [region[p] and label[p] == k for k in range(classes)]
        return soft

    degrees = of_pixels[:, inside].sum(1)
    soft = distribute(scores)
    for _ in range(3):
        drawn = np.zeros_like(scores)
        for p in inside:
            for q in inside:
                root = np.sqrt(degrees[p] * degrees[q])
                drawn[:, p] += 10 * of_pixels[p, q] / root * soft[:, q]
        soft = distribute(scores + drawn)
    return soft * region


def by_hand(case, scale_factor, tags, label_balance) -> torch.Tensor:
    """The soft labels (N, K, h, w) of a case at a scale."""
    small = case.at_scale(scale_factor)
    region = small.region.double()
    probabilities = small.logits.softmax(1).detach() * region.unsqueeze(1)
    affinities = [
        ascending_affinities(small.image, 30.0, reach * 8.0 * scale_factor) for reach in (1, 2.5)
    ]
    tags = torch.ones(len(region), probabilities.shape[1]) if tags is None else tags
    maps = (probabilities.flatten(2), region.flatten(1), small.label.flatten(1), tags)
    labels = [
        labels_by_hand(s.numpy(), r.numpy(), *a, label.numpy(), tag.numpy(), label_balance)
        for s, r, label, tag, *a in zip(*maps, *affinities, strict=True)
    ]
    return torch.from_numpy(np.stack(labels)).view_as(probabilities)


@pytest.mark.parametrize(
    "tags, class_balance, label_balance", [(None, 0.5, 0.5), (TAGS, 0.0, 1), (TAGS, 1, 0)]
)
@pytest.mark.parametrize("size, scale_factor", [((2, 3, 5, 6), 1), ((2, 3, 10, 8), 0.5)])
def test_value_and_gradient_are_those_of_the_sums(
    size, scale_factor, tags, class_balance, label_balance
):
    case = random_case(*size)
    case.label[0][case.label[0] == 2] = 255  # so that the tag decides
    case.logits.requires_grad_()
    options = dict(image_tags=tags, class_balance=class_balance, label_balance=label_balance)
    loss = self_label_loss(*case.maps, case.label, **SIGMAS, scale_factor=scale_factor, **options)
    (gradient,) = torch.autograd.grad(loss, case.logits)

    labels = by_hand(case, scale_factor, tags, label_balance)
    assert (labels[0, 2] > 0).any() == (tags is None)
    small = case.at_scale(scale_factor)
    counted = (small.region * (small.label == 255)).unsqueeze(1)
    entropies = -labels * counted * (small.logits.softmax(1) + 1e-5).log()
    expected = 0
    for image, pixels in zip(entropies, labels * counted, strict=True):
        number = pixels.sum((1, 2))  # (K,)
        weight = torch.where(number > 1, number ** (1 - class_balance), number)
        means = image.sum((1, 2)) / torch.where(number > 0, number, 1)
        expected += (weight * means).sum() / weight.sum() / len(labels)
    (expected_gradient,) = torch.autograd.grad(expected, case.logits)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("tags, label_balance", [(None, 0), (TAGS, 0.5), (None, 1)])
@pytest.mark.parametrize("size, scale_factor", [((2, 3, 5, 6), 1), ((2, 3, 10, 8), 0.5)])
def test_the_soft_labels_are_those_of_the_sums(size, scale_factor, tags, label_balance):
    case = random_case(*size)
    case.label[0][case.label[0] == 2] = 255  # so that the tag decides
    case.logits.requires_grad_()
    maps = *case.maps, case.label.unsqueeze(1)
    options = dict(scale_factor=scale_factor, image_tags=tags, label_balance=label_balance)
    labels = soft_labels(*maps, **SIGMAS, **options)
    expected = by_hand(case, scale_factor, tags, label_balance)
    torch.testing.assert_close(labels, expected, rtol=1e-6, atol=1e-9)
    assert not labels.requires_grad
    with pytest.raises(ValueError, match=r"image_tags must be \(N, K\)"):
        soft_labels(*maps, **SIGMAS, scale_factor=scale_factor, image_tags=TAGS[:, :2])


def test_scribbles_and_edges_settle_what_the_network_does_not_know():
    image = torch.full((1, 3, 8, 12), 40.0)
    image[..., 6:] = 200  # an edge
    label = torch.full((1, 8, 12), 255)
    label[0, 4, 1], label[0, 4, 10] = 0, 1
    unsure = torch.full((1, 3, 8, 12), 1 / 3)
    labels = soft_labels(image, unsure, torch.ones(1, 8, 12), label.float(), 10.0, 8.0, 1.0)
    assert (labels[0, 0, :, :6] > 0.9).all() and (labels[0, 1, :, 6:] > 0.9).all()


def test_a_large_class_does_not_push_a_small_one_aside():
    """A mean over the pixels would ask 35 times as much of the large one."""
    label = torch.full((1, 6, 6), 255)
    image = torch.full((1, 3, 6, 6), 40.0)
    image[..., 2, 2] = 200
    logits = torch.zeros(1, 2, 6, 6, requires_grad=True)
    hard = torch.zeros(1, 2, 6, 6)
    hard[:, 0], hard[:, 1, 2, 2], hard[:, 0, 2, 2] = 12, 12, 0
    segmentation = (logits + hard).softmax(1)
    loss = self_label_loss(image, segmentation, torch.ones(1, 6, 6), label, 10.0, 1.0, 1.0)
    labels_are_hard = soft_labels(image, segmentation, torch.ones(1, 6, 6), label, 10.0, 1.0, 1.0)
    assert labels_are_hard.amax(1).min() > 0.99
    (gradient,) = torch.autograd.grad(loss, segmentation)
    pulls = [-gradient[0, k][labels_are_hard[0, k] > 0.5].sum() for k in (0, 1)]
    assert float(pulls[0] / pulls[1]) == pytest.approx(35**0.5, rel=0.05)


def test_what_the_network_has_of_a_class_everywhere_is_taken_back():
    """So that a network which takes most of an image for one class does not confirm itself."""
    image = torch.full((1, 3, 8, 24), 40.0)
    label = torch.full((1, 8, 24), 255)
    label[0, 4, 0], label[0, 4, 23] = 0, 1
    network = torch.empty(1, 3, 8, 24)
    network[:, 0], network[:, 1], network[:, 2] = 0.7, 0.2, 0.1
    network[:, :2, :, 12:] = torch.tensor([0.55, 0.35]).view(2, 1, 1)  # likelier than elsewhere
    maps = image, network, torch.ones(1, 8, 24), label, 10.0, 1.0, 1.0
    of_its_own, balanced = (soft_labels(*maps, label_balance=balance) for balance in (0, 1))
    assert (of_its_own[0, :, :, 4:19].argmax(0) == 0).all()  # far from both labels
    assert (balanced[0, :, :, 4:10].argmax(0) == 0).all()
    assert (balanced[0, :, :, 14:19].argmax(0) == 1).all()


def test_a_crop_without_any_label_follows_the_network():
    case = random_case()
    nothing = torch.full_like(case.label, 255)
    loss = self_label_loss(*case.maps, nothing, **SIGMAS, scale_factor=1)
    uniform = torch.full_like(case.logits, 1 / 3)
    alone = self_label_loss(case.image, uniform, case.region, nothing, **SIGMAS, scale_factor=1)
    assert 0 < loss < np.log(3)
    assert alone.item() == pytest.approx(np.log(3), rel=1e-4)


def test_with_a_label_on_every_pixel_it_is_zero():
    case = random_case()
    labels = torch.zeros_like(case.label)
    segmentation = case.maps[1].requires_grad_()
    loss = self_label_loss(case.image, segmentation, case.region, labels, **SIGMAS, scale_factor=1)
    assert loss == 0
    assert not torch.autograd.grad(loss, segmentation)[0].any()


def test_nan_is_named_though_labels_hide_it():
    case = random_case()
    case.logits[0, 0, 2, 3] = torch.nan
    case.region[0, 2, 3] = 1
    layer = SelfLabelLoss(1.0, **SIGMAS, scale_factor=1)
    scene = Scene(case.image, case.region)
    with pytest.raises(ValueError, match="logits that SelfLabelLoss is computed from must be fin"):
        layer.from_logits(scene, case.logits, torch.zeros_like(case.label))


def test_the_layer_weighs_it_and_takes_labels_with_a_channel():
    case = random_case()
    layer = SelfLabelLoss(weight=3.0, **SIGMAS, scale_factor=0.5)
    expected = 3 * self_label_loss(
        *case.maps, case.label, **SIGMAS, scale_factor=0.5, image_tags=TAGS
    )
    labels = case.label.unsqueeze(1).byte()
    torch.testing.assert_close(layer(*case.maps, labels, TAGS), expected)


def test_the_layer_balances_as_the_function_does_from_logits_too():
    case = random_case()
    default = self_label_loss(*case.maps, case.label, **SIGMAS, scale_factor=1)
    for option in ("class_balance", "label_balance"):
        balance = {option: 1}
        layer = SelfLabelLoss(1.0, **SIGMAS, scale_factor=1, **balance)
        expected = self_label_loss(*case.maps, case.label, **SIGMAS, scale_factor=1, **balance)
        assert not torch.isclose(expected, default)
        torch.testing.assert_close(layer(*case.maps, case.label), expected)
        scene = Scene(case.image, case.region)
        torch.testing.assert_close(layer.from_logits(scene, case.logits, case.label), expected)
        assert f"{option}=1" in repr(layer)


@pytest.mark.parametrize("value, error", [(-0.1, ValueError), (2, ValueError), ("1", TypeError)])
@pytest.mark.parametrize("option", ["class_balance", "label_balance"])
def test_a_wrong_balance_is_refused(option, value, error):
    with pytest.raises(error, match=f"{option} must be"):
        SelfLabelLoss(1.0, **SIGMAS, scale_factor=1, **{option: value})


def test_a_class_with_a_label_is_possible_whatever_the_tags_say():
    case = random_case()
    assert all((case.label[n] == 2).any() for n in range(2))
    maps = *case.maps, case.label, *SIGMAS.values(), 1
    without = torch.tensor([[True, True, False]] * 2)
    assert self_label_loss(*maps, image_tags=without) == self_label_loss(*maps)


def test_wrong_tags_are_refused():
    case = random_case()
    with pytest.raises(TypeError, match="image_tags must be a torch.Tensor of bool, not"):
        self_label_loss(*case.maps, case.label, **SIGMAS, scale_factor=1, image_tags=[[0, 1]] * 2)
    with pytest.raises(ValueError, match=r"image_tags must be \(N, K\)"):
        self_label_loss(*case.maps, case.label, **SIGMAS, scale_factor=1, image_tags=TAGS[:, :2])
