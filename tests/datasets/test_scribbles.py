"""Simulated scribbles and points, on masks whose regions are known."""

import cv2
import numpy as np
import pytest

from mmseg_rloss.datasets.scribbles import draw_points, draw_scribbles, draw_stroke

UNLABELLED = 255


@pytest.fixture
def mask() -> np.ndarray:
    """A background with a bar, an L and a ring, one beside the border of an object (255)."""
    mask = np.zeros((90, 120), dtype=np.uint8)
    mask[10:22, 10:100] = 1  # the bar
    mask[9, 10:100] = UNLABELLED
    mask[35:80, 10:22] = mask[68:80, 10:50] = 2  # the L
    cv2.ellipse(mask, (85, 58), (26, 26), 0, 0, 360, 3, 11)  # the ring
    return mask


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def components(covered: np.ndarray) -> int:
    return cv2.connectedComponents(covered.astype(np.uint8), connectivity=8)[0] - 1


@pytest.mark.parametrize("draw", [draw_scribbles, draw_points])
@pytest.mark.parametrize("seed", range(5))
def test_labels_are_those_of_the_mask_and_every_region_has_one(mask, draw, seed):
    scribbles = draw(mask, rng(seed))
    drawn = scribbles != UNLABELLED
    assert np.array_equal(scribbles[drawn], mask[drawn])
    for label in (1, 2, 3):
        assert components(scribbles == label) == 1
    in_the_ring = np.count_nonzero(scribbles[40:77, 67:104] == 0)
    assert 0 < in_the_ring < np.count_nonzero(scribbles == 0)


@pytest.mark.parametrize("draw", [draw_scribbles, draw_points])
def test_strokes_keep_off_the_edge(mask, draw):
    scribbles = draw(mask, rng())
    edge = np.zeros(mask.shape, dtype=bool)
    for axis in (0, 1):
        for step in (1, -1):
            edge |= np.roll(mask, step, axis) != mask  # over the frame, too
    assert not np.any((scribbles != UNLABELLED) & edge)


@pytest.mark.parametrize("seed", range(5))
def test_a_stroke_runs_along_the_middle_of_its_region(mask, seed):
    rows, columns = np.nonzero(draw_scribbles(mask, rng(seed)) == 1)
    assert np.ptp(columns) > 0.5 * 90, "at most a fifth may lack at either end"
    assert abs(rows.mean() - 15.5) < 2
    middle = (columns > 25) & (columns < 85)
    assert 3 <= np.ptp(rows[middle]) < 9, "it wavers, but not much"


@pytest.mark.parametrize("label", [2, 3])
def test_a_stroke_follows_the_bends_of_its_region(mask, label):
    rows, columns = np.nonzero(draw_scribbles(mask, rng(1)) == label)
    assert np.ptp(rows) > 15 and np.ptp(columns) > 15


def test_the_seed_decides(mask):
    assert np.array_equal(draw_scribbles(mask, rng(3)), draw_scribbles(mask, rng(3)))
    assert not np.array_equal(draw_scribbles(mask, rng(3)), draw_scribbles(mask, rng(4)))


@pytest.mark.parametrize("seed", range(5))
def test_points_are_dots_in_the_heart_of_a_region(mask, seed):
    points = draw_points(mask, rng(seed))
    rows, columns = np.nonzero(points == 1)
    assert 1 <= len(rows) <= 9
    assert np.ptp(rows) <= 2 and np.ptp(columns) <= 2
    assert 13 < rows.mean() < 18


@pytest.mark.parametrize("draw", [draw_scribbles, draw_points])
def test_specks_get_a_stroke_only_where_the_label_has_nothing_larger(draw):
    mask = np.zeros((100, 100), dtype=np.uint8)
    mask[10:30, 10:30] = mask[50, 50] = 1
    mask[70, 70:72] = 2
    scribbles = draw(mask, rng())
    assert scribbles[50, 50] == UNLABELLED
    assert np.any(scribbles == 1) and np.any(scribbles[70, 70:72] == 2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2), (333, 500)])
def test_masks_of_any_size(shape):
    assert np.any(draw_scribbles(np.full(shape, 7, dtype=np.uint8), rng()) == 7)


def test_a_mask_without_labels_stays_without():
    mask = np.full((20, 30), UNLABELLED, dtype=np.uint8)
    assert np.array_equal(draw_scribbles(mask, rng()), mask)


def test_a_stroke_is_three_pixels_wide():
    stroke = draw_stroke(np.array([[4.2, 4.0], [11.0, 3.6], [11, 9]]), (15, 20))
    expected = np.zeros((15, 20), dtype=bool)
    expected[3:6, 3:13] = expected[3:11, 10:13] = True
    assert np.array_equal(stroke, expected)


def test_a_stroke_of_one_point_is_a_dot():
    assert np.argwhere(draw_stroke(np.array([[4, 2]]), (9, 9))).mean(axis=0).tolist() == [2, 4]
    assert draw_stroke(np.array([[4, 2]]), (9, 9)).sum() == 9


def test_a_stroke_may_leave_the_canvas():
    assert draw_stroke(np.array([[-50, 5], [50, 5]]), (9, 9)).sum() == 3 * 9
    assert not draw_stroke(np.array([[-50, -50]]), (9, 9)).any()


@pytest.mark.parametrize("draw", [draw_scribbles, draw_points])
def test_a_label_of_specks_alone_gets_one_stroke(draw):
    """A checkerboard has as many regions as pixels."""
    mask = (np.indices((400, 400)).sum(0) % 2).astype(np.uint8)
    scribbles = draw(mask, rng())
    assert [np.count_nonzero(scribbles == label) for label in (0, 1)] == [1, 1]


def test_strokes_are_shorter_than_their_regions_at_either_end():
    mask = np.ones((40, 400), dtype=np.uint8)
    columns = [np.flatnonzero((draw_scribbles(mask, rng(seed)) == 1).any(0)) for seed in range(20)]
    starts, ends = (np.array([c[i] for c in columns]) for i in (0, -1))
    # Of a spine of 400 pixels, 0 to 80 are left out at each end; which is which, is chance. An end
    # that is never cut would be the nearer one most of the time, 15 pixels from the border.
    nearer = np.minimum(starts, 399 - ends)
    assert 25 < nearer.mean() < 65 and nearer.std() > 10


def test_a_region_costs_its_own_pixels_not_those_of_the_mask(monkeypatch):
    transformed = []
    transform = cv2.distanceTransform
    monkeypatch.setattr(
        cv2, "distanceTransform", lambda m, *args: transformed.append(m.size) or transform(m, *args)
    )
    mask = np.full((1000, 1000), UNLABELLED, dtype=np.uint8)
    for y in range(0, 1000, 100):
        for x in range(0, 1000, 100):
            mask[y + 5 : y + 45, x + 5 : x + 65] = 1
    draw_points(mask, rng())
    assert transformed == [42 * 62] * 100
