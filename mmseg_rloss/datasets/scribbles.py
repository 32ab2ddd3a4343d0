"""Scribbles and points as an annotator would draw them, from full masks."""

from collections.abc import Iterator

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from .label_png import UNLABELLED

STROKE_WIDTH = 3  # pixels, as ScribbleSup's
MARGIN = 2  # pixels from the edge of a region that a stroke keeps, where there is room
SMALLEST_SHARE = 0.001  # of the pixels: smaller regions get no stroke
GRID = 64  # the longer side of a region, in cells, when its spine is looked for


def draw_scribbles(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One stroke along the spine of each connected region of a mask, the background's too.

    Args:
        mask (np.ndarray): uint8 of shape (H, W); 255 stands for unlabelled.
        rng (np.random.Generator): decides where strokes begin and end and how they waver.

    Returns:
        np.ndarray: uint8 of shape (H, W): the label on the strokes, which stay inside their
        region, and 255 elsewhere.
    """
    scribbles = np.full_like(mask, UNLABELLED)
    for label, depth in _regions(mask):
        stroke = _paint(_stroke(depth, rng), depth)
        scribbles[stroke] = label
    return scribbles


def draw_points(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One dot, as wide as a stroke, in the heart of each connected region of a mask.

    Arguments and result are those of :func:`draw_scribbles`.
    """
    points = np.full_like(mask, UNLABELLED)
    for label, depth in _regions(mask):
        heart = np.argwhere(depth >= 0.7 * depth.max())[:, ::-1]  # (M, 2), x and y
        points[_paint(rng.choice(heart)[None], depth)] = label
    return points


def _regions(mask: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The label of each connected region, and the distance from its edge, (H, W) in pixels.

    Specks are left out, unless a label has nothing larger.
    """
    for label in np.unique(mask[mask != UNLABELLED]):
        _, regions = cv2.connectedComponents((mask == label).astype(np.uint8), connectivity=4)
        areas = np.bincount(regions.ravel())
        areas[0] = 0  # the other labels
        for region in np.flatnonzero(areas >= min(SMALLEST_SHARE * mask.size, areas.max())):
            padded = np.pad(regions == region, 1).astype(np.uint8)  # the frame is an edge, too
            yield label, cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]


def draw_stroke(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Draw a polyline with a square brush of STROKE_WIDTH pixels.

    Args:
        points (np.ndarray): (M, 2), x and y in pixels, of one point or more, inside or outside.
        shape (tuple[int, int]): height and width of the canvas.

    Returns:
        np.ndarray: bool of that shape.
    """
    canvas = np.zeros(shape, dtype=np.uint8)
    corners = np.round(points).astype(np.int32)
    # The last point twice: OpenCV draws nothing from a single one. Its own thickness of 3 makes
    # lines of 3 or 5 pixels, depending on its version; the brush does not.
    cv2.polylines(canvas, [np.concatenate([corners, corners[-1:]])], False, 1)
    return cv2.dilate(canvas, np.ones((STROKE_WIDTH, STROKE_WIDTH), dtype=np.uint8)) == 1


def _paint(points: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Where a stroke through (M, 2) points covers the region, (H, W) bool; never nowhere."""
    covered = draw_stroke(points, depth.shape) & (depth >= min(MARGIN, depth.max()))
    return covered if covered.any() else depth == depth.max()


def _stroke(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The spine of a region, a little wavering, without its ends; (M, 2), x and y in pixels."""
    rows, columns = np.nonzero(depth)
    corner = np.array([columns.min(), rows.min()])
    size = np.array([columns.max(), rows.max()]) + 1 - corner
    step = max(1.0, size.max() / GRID)  # pixels a cell
    inside = depth[corner[1] :, corner[0] :][: size[1], : size[0]]
    cells = np.maximum(1, np.round(size / step)).astype(int)
    spine = _spine(cv2.resize(inside, tuple(cells.tolist()), interpolation=cv2.INTER_AREA), rng)
    spine = (spine + 0.5) * size / cells - 0.5 + corner
    trimmed = spine[int(len(spine) * rng.uniform(0, 0.2)) :]
    trimmed = trimmed[: len(trimmed) - int(len(trimmed) * rng.uniform(0, 0.2))]
    reach = min(9, len(trimmed))
    waver = rng.normal(0, 0.5 * np.sqrt(depth.max()), trimmed.shape)
    return _smooth(trimmed + waver, reach)


def _smooth(points: np.ndarray, reach: int) -> np.ndarray:
    """A running mean over so many points."""
    padded = np.pad(points, ((reach // 2, (reach - 1) // 2), (0, 0)), mode="edge")
    kernel = np.full(reach, 1 / reach)
    return np.stack([np.convolve(padded[:, axis], kernel, "valid") for axis in (0, 1)], axis=1)


def _spine(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The path between two far ends of a region that keeps to its middle; (M, 2), x and y."""
    nodes = np.flatnonzero(depth > 0)
    deep = depth.flat[nodes] >= 0.3 * depth.max()
    lengths = _graph(depth, nodes, np.ones(len(nodes)))
    first = _farthest(lengths, rng.choice(np.flatnonzero(deep)), deep)
    last = _farthest(lengths, first, deep)
    middle_is_cheap = (depth.max() / depth.flat[nodes]) ** 2
    costs = _graph(depth, nodes, middle_is_cheap)
    _, before = dijkstra(costs, directed=False, indices=first, return_predecessors=True)
    path = [last]
    while path[-1] != first:
        path.append(before[path[-1]])
    rows, columns = np.unravel_index(nodes[path], depth.shape)
    return np.stack([columns, rows], axis=1).astype(float)


def _graph(depth: np.ndarray, nodes: np.ndarray, costs: np.ndarray) -> coo_array:
    """The costs of the steps from each cell of a region to its eight neighbours."""
    number = np.full(depth.shape, -1)
    number.flat[nodes] = np.arange(len(nodes))
    number = np.pad(number, 1, constant_values=-1)
    steps = [(0, 1, 1.0), (1, 0, 1.0), (1, 1, np.sqrt(2)), (1, -1, np.sqrt(2))]
    starts, ends, weights = [], [], []
    here = number[1:-1, 1:-1]
    for down, right, length in steps:
        there = np.roll(number, (-down, -right), (0, 1))[1:-1, 1:-1]
        both = (here >= 0) & (there >= 0)
        starts.append(here[both])
        ends.append(there[both])
        weights.append(length * (costs[here[both]] + costs[there[both]]) / 2)
    edges = np.concatenate(weights), (np.concatenate(starts), np.concatenate(ends))
    return coo_array(edges, shape=(len(nodes),) * 2).tocsr()


def _farthest(graph: coo_array, start: int, candidates: np.ndarray) -> int:
    distances = dijkstra(graph, directed=False, indices=start)
    distances[~candidates | ~np.isfinite(distances)] = -1
    return int(distances.argmax())
