"""Weights that do not fit the images, against the energy of a segmentation of one class."""

import re

import pytest
import torch

from mmseg_rloss.models.weight_check import doubt_about_weight
from mmseg_rloss.ops import Scene, densecrf_loss
from tests.engine.segmentors import DENSECRF, build_segmentor

PARAMETERS = dict(sigma_rgb=15.0, sigma_xy=20.0, scale_factor=0.5)
NAME = "decode_head.loss_decode.1"


@pytest.fixture(scope="module")
def scene() -> Scene:
    image = torch.rand(2, 3, 40, 60, generator=torch.Generator().manual_seed(0)) * 30
    region = torch.ones(2, 40, 60)
    region[1, :, 20:] = 0
    return Scene(image, region)


def fitting(scene: Scene, cross_entropy: float = 1.0) -> float:
    """docs/parameters.md: as 1.5e-9 beside a twelfth of a cross entropy, by pixels times mass."""
    region = scene.region_of_interest
    strength = -densecrf_loss(scene.image(), region[:, None], region, **PARAMETERS).item()
    return 1.5e-9 * 12 * cross_entropy * 65_536 * 760 / strength


def doubt(scene: Scene, weight: float, cross_entropy: dict | None = None, **loss) -> str | None:
    segmentor = build_segmentor(losses=[dict(DENSECRF, loss_weight=weight) | loss])
    head = segmentor.decode_head
    for name, value in (cross_entropy or {}).items():
        setattr(head.loss_decode[0], name, value)
    head.loss_decode[1].provide_scene(scene)
    return doubt_about_weight(NAME, head.loss_decode[1], head)


@pytest.mark.parametrize("kind", ["DenseCRFLoss", "DenseEnergyLoss"])
def test_a_weight_that_is_far_from_the_published_strength_is_doubted(scene, kind):
    right = fitting(scene)
    for factor in (0.12, 1, 8):
        assert doubt(scene, factor * right, type=kind) is None
    for factor, words in ((0.01, "100 times weaker"), (30, "30 times stronger")):
        told = doubt(scene, factor * right, type=kind)
        assert told.startswith(f"The {kind} {NAME} has loss_weight={factor * right:g}")
        assert words in told
        assert float(re.search(r"loss_weight=(\S+) is as strong", told)[1]) == pytest.approx(
            right, rel=0.05
        )
        assert ("normalize=True" in told) == (kind == "DenseCRFLoss")


def test_the_weight_of_the_cross_entropy_counts(scene):
    right = fitting(scene, cross_entropy=1 / 12)
    assert doubt(scene, right, dict(loss_weight=1 / 12)) is None
    assert "12 times weaker" in doubt(scene, right)


@pytest.mark.parametrize(
    "cross_entropy, loss",
    [
        (dict(), dict(normalize=True)),
        (dict(), dict(type="SelfLabelLoss")),
        (dict(), dict(loss_weight=0.0)),
        (dict(avg_non_ignore=False), dict()),
        (dict(loss_weight=0.0), dict()),
    ],
)
def test_where_the_rule_says_nothing_nothing_is_said(scene, cross_entropy, loss):
    assert doubt(scene, 1e-9, cross_entropy, **loss) is None


def test_the_loss_of_neighbours_needs_no_such_weight(scene):
    head = build_segmentor(losses=[dict(type="NeighbourPottsLoss")]).decode_head
    head.loss_decode[1].provide_scene(scene)
    assert doubt_about_weight(NAME, head.loss_decode[1], head) is None


def test_images_without_a_region_say_nothing():
    assert doubt(Scene(torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8)), 1e-9) is None
