"""The figure of the loss, against differences of the loss itself."""

import numpy as np
import pytest
import torch

from mmseg_rloss.ops import (
    DenseCRFLoss,
    NeighbourPottsLoss,
    NormalizedCutLoss,
    SelfLabelLoss,
    densecrf_loss,
    self_label_loss,
)
from mmseg_rloss.visualization import draw_densecrf, figure_to_array
from mmseg_rloss.visualization.densecrf import MAX_CLASSES

HEIGHT, WIDTH = 10, 14
CLASSES = [f"c{label}" for label in range(9)]
PALETTE = np.arange(27, dtype=np.uint8).reshape(9, 3) * 9
LOSS = DenseCRFLoss(weight=0.01, sigma_rgb=20, sigma_xy=5, scale_factor=1)


@pytest.fixture
def image() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(100, 150, (3, HEIGHT, WIDTH))).float()


@pytest.fixture
def region() -> torch.Tensor:
    return torch.ones(HEIGHT, WIDTH)


def stripes(*labels: int) -> torch.Tensor:
    """(9, H, W) probabilities with the labels in vertical stripes, from left to right."""
    columns = np.array(labels)[np.arange(WIDTH) * len(labels) // WIDTH]
    logits = torch.zeros(9, HEIGHT, WIDTH, dtype=torch.float64)
    logits[columns, :, np.arange(WIDTH)] = 3
    return logits.softmax(0)


def draw(image, probabilities, region, losses=(LOSS,)):
    return draw_densecrf(losses, image, probabilities, region, CLASSES, PALETTE)


def heat_maps(figure) -> dict[str, np.ndarray]:
    """What the first row shows, by title."""
    pulls = [axis for axis in figure.axes if axis.get_title().startswith("pull towards")]
    return {axis.get_title().split()[-1]: axis.images[0].get_array().data for axis in pulls}


def energy(image, probabilities, region) -> float:
    value = densecrf_loss(image[None], probabilities[None], region[None], 20, 5, 1)
    return 0.01 * value.item()


def test_shows_the_loss_and_its_parameters(image, region):
    probabilities = stripes(2, 5)
    axis = draw(image, probabilities, region).axes[0]
    assert float(axis.get_title().split()[1]) == pytest.approx(
        energy(image, probabilities, region), rel=1e-3
    )
    assert axis.get_ylabel() == "DenseCRFLoss\nsigma_rgb 20, sigma_xy 5\nscale 1, weight 0.01"


def test_heat_maps_are_the_fall_of_the_loss_with_the_probability(image, region):
    probabilities = stripes(2, 5)
    maps = heat_maps(draw(image, probabilities, region))
    assert list(maps) == ["c2", "c5"]
    for label in (2, 5):
        for place in ((0, 0), (4, 7), (9, 12)):
            moved = probabilities.clone()
            moved[(label, *place)] += 1e-4
            fall = energy(image, probabilities, region) - energy(image, moved, region)
            assert maps[f"c{label}"][place] == pytest.approx(fall / 1e-4, rel=1e-3)


def test_heat_maps_are_below_zero_where_a_class_is_pushed_away(image, region):
    cut = NormalizedCutLoss(weight=1, sigma_rgb=20, sigma_xy=5, scale_factor=1)
    maps = heat_maps(draw(image, stripes(2, 5), region, [cut]))
    assert maps["c2"][:, :4].max() > 0 > maps["c2"][:, 10:].min()


@pytest.mark.parametrize("widest", [2, 5])
def test_all_heat_maps_of_a_loss_have_one_scale_from_zero_to_the_largest(image, region, widest):
    figure = draw(image, stripes(2, widest, widest, 5), region)
    largest = max(heat.max() for heat in heat_maps(figure).values())
    limits = {axis.images[0].get_clim() for axis in figure.axes[1:3]}
    assert limits == {(0, largest)}


def test_a_row_for_each_loss(image, region):
    losses = [DenseCRFLoss(1.0, 15, sigma_xy, 0.5) for sigma_xy in (3, 30)]
    losses.append(DenseCRFLoss(1.0, 15, 3, 0.5, normalize=True))
    figure = draw(image, stripes(1, 2), region, losses)
    labels = [axis.get_ylabel() for axis in figure.axes]
    assert "DenseCRFLoss\nsigma_rgb 15, sigma_xy 3\nscale 0.5, weight 1" in labels
    assert "DenseCRFLoss\nsigma_rgb 15, sigma_xy 30\nscale 0.5, weight 1" in labels
    assert "DenseCRFLoss, normalized\nsigma_rgb 15, sigma_xy 3\nscale 0.5, weight 1" in labels
    titles = [axis.get_title() for axis in figure.axes]
    assert len({title for title in titles if title.startswith("loss")}) == 3


def test_a_loss_without_a_bandwidth_of_the_position_is_named_without_it(image, region):
    loss = NeighbourPottsLoss(1.0, 15, 0.5, relaxation="bilinear")
    axis = draw(image, stripes(1, 2), region, [loss]).axes[0]
    assert axis.get_ylabel() == "NeighbourPottsLoss, bilinear\nsigma_rgb 15\nscale 0.5, weight 1"


def test_outside_the_region_of_interest_there_is_no_prediction(image, region):
    region[:, 7:] = 0
    figure = draw(image, stripes(2, 5), region)
    assert list(heat_maps(figure)) == ["c2"]
    overlay = figure.axes[0].images[0].get_array()
    assert np.array_equal(overlay[:, 7:], image[:, :, 7:].permute(1, 2, 0).byte())
    assert not np.array_equal(overlay[:, :7], image[:, :, :7].permute(1, 2, 0).byte())


def test_nothing_at_all_to_see(image, region):
    assert heat_maps(draw(image, stripes(2), 0 * region)) == {}


def test_of_many_classes_those_with_the_most_pixels(image, region):
    figure = draw(image, stripes(8, 8, 1, 2, 3, 4, 5, 6, 7, 7, 7, 1, 2, 3), region)
    assert len(heat_maps(figure)) == MAX_CLASSES == 6
    assert {"c7", "c8", "c1", "c2", "c3"} < set(heat_maps(figure))
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == CLASSES[1:], "the overlay shows them all"


@pytest.mark.parametrize("bands", [1, 5])
def test_the_first_band_stands_for_an_image_that_is_not_rgb(image, region, bands):
    region[:, 7:] = 0  # where the image shows
    figure = draw(image[:1].expand(bands, -1, -1), stripes(2), region)
    overlay = figure.axes[0].images[0].get_array()
    assert np.array_equal(overlay[:, 7:], image[:1, :, 7:].expand(3, -1, -1).permute(1, 2, 0))


def test_gradients_may_be_off_around_it(image, region):
    with torch.no_grad():
        assert heat_maps(draw(image, stripes(2), region))["c2"].max() > 0


def test_becomes_an_array_of_the_size_of_the_figure(image, region):
    figure = draw(image, stripes(2, 5), region)
    array = figure_to_array(figure)
    width, height = (figure.get_size_inches() * figure.dpi).astype(int)
    assert array.shape == (height, width, 3)
    assert array.dtype == np.uint8
    assert len(np.unique(array.reshape(-1, 3), axis=0)) > 50


def test_self_labels_follow_labels_and_tags(image, region):
    probabilities = stripes(0, 1)
    label = torch.full((HEIGHT, WIDTH), 255)
    label[2, 3] = 4
    tags = torch.arange(9) < 1
    loss = SelfLabelLoss(weight=2.0, sigma_rgb=20, sigma_xy=5, scale_factor=1)
    figure = draw_densecrf([loss], image, probabilities, region, CLASSES, PALETTE, label, tags)
    maps = image[None], probabilities[None], region[None], label[None]
    expected = 2 * self_label_loss(*maps, 20, 5, 1, image_tags=tags[None])
    assert figure.axes[0].get_title() == f"loss {expected:.4g}"
