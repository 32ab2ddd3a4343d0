"""Scribbles and points as an annotator would draw them, from full masks."""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from .label_png import UNLABELLED

STROKE_WIDTH = 3  # pixels, as ScribbleSup's
MARGIN = 2  # pixels from the edge of a region that a stroke keeps, where there is room
SMALLEST_SHARE = 0.001  # of the pixels: smaller regions get no stroke
STEPS = np.array([2**0.5, 1, 2**0.5, 1, 0, 1, 2**0.5, 1, 2**0.5])  # to the 3 x 3 cells around
GRID = 64  # the longer side of a region, in cells, when its spine is looked for


def draw_scribbles(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One stroke along the spine of each connected region of a mask, the background's too.

    Args:
        mask: (H, W) of uint8; 255 stands for unlabelled.
        rng: Decides where strokes begin and end and how they waver.

    Returns:
        (H, W) of uint8: the label on the strokes, which stay inside their region, and 255
        elsewhere.
    """
    scribbles = np.full_like(mask, UNLABELLED)
    for region in _regions(mask):
        _paint(scribbles, _stroke(region.depth, rng), region)
    return scribbles


def draw_points(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One dot, as wide as a stroke, in the heart of each connected region of a mask.

    Arguments and result are those of :func:`draw_scribbles`.
    """
    points = np.full_like(mask, UNLABELLED)
    for region in _regions(mask):
        heart = np.argwhere(region.depth >= 0.7 * region.depth.max())[:, ::-1]  # (M, 2), x and y
        _paint(points, rng.choice(heart)[None], region)
    return points


class Region(NamedTuple):
    """A connected region of one label, cut out of its mask."""

    label: int
    corner: np.ndarray  # x and y of its first pixel in the mask
    depth: np.ndarray  # (h, w), the distance of its pixels from its edge, 0 outside


def _regions(mask: np.ndarray) -> Iterator[Region]:
    """The connected regions of a mask.

    Specks are left out, unless a label has nothing larger; then it has its largest one.
    """
    for label in np.unique(mask[mask != UNLABELLED]):
        _, regions, boxes, _ = cv2.connectedComponentsWithStats(
            (mask == label).astype(np.uint8), connectivity=4
        )
        areas = boxes[:, cv2.CC_STAT_AREA].copy()
        areas[0] = 0  # the other labels
        large = np.flatnonzero(areas >= SMALLEST_SHARE * mask.size)
        for region in large if len(large) else [areas.argmax()]:
            x, y, width, height, _ = boxes[region]
            inside = regions[y : y + height, x : x + width] == region
            padded = np.pad(inside, 1).astype(np.uint8)  # the frame is an edge, too
            depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
            yield Region(label, np.array([x, y]), depth)


def draw_stroke(
    points: np.ndarray, shape: tuple[int, int], width: int = STROKE_WIDTH
) -> np.ndarray:
    """Draw a polyline with a square brush.

    Args:
        points: (M, 2), x and y in pixels, of one point or more, inside or outside.
        shape: Height and width of the canvas.
        width: Of the brush in pixels, odd.

    Returns:
        (H, W) of bool, true on the stroke.
    """
    canvas = np.zeros(shape, dtype=np.uint8)
    corners = np.round(points).astype(np.int32)
    # The last point twice: OpenCV draws nothing from a single one. Its own thickness of 3 makes
    # lines of 3 or 5 pixels, depending on its version; the brush does not.
    cv2.polylines(canvas, [np.concatenate([corners, corners[-1:]])], False, 1)
    return cv2.dilate(canvas, np.ones((width, width), dtype=np.uint8)) == 1


def _paint(canvas: np.ndarray, points: np.ndarray, region: Region) -> None:
    """Draw the part of a stroke through (M, 2) points that lies in its region; never nothing."""
    depth = region.depth
    height, width = depth.shape
    here = canvas[region.corner[1] :, region.corner[0] :][:height, :width]
    # OpenCV draws a line that leaves the canvas slightly differently: it may leave only the image.
    first = np.minimum(np.floor(points.min(0)).astype(int) - 1, 0)
    first = np.maximum(first, -region.corner)
    last = np.maximum(np.ceil(points.max(0)).astype(int) + 2, [width, height])
    last = np.minimum(last, np.array(canvas.shape[::-1]) - region.corner)
    stroke = draw_stroke(points - first, tuple((last - first)[::-1].tolist()))
    stroke = stroke[-first[1] :, -first[0] :][:height, :width]
    covered = stroke & (depth >= min(MARGIN, depth.max()))
    here[covered if covered.any() else depth == depth.max()] = region.label


def _stroke(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The spine of a region, jittered and without its ends; (M, 2), x and y in pixels."""
    size = np.array(depth.shape[::-1])
    step = max(STROKE_WIDTH / 2, size.max() / GRID)  # pixels a cell
    cells = np.maximum(1, np.round(size / step)).astype(int)
    spine = _spine(cv2.resize(depth, tuple(cells.tolist()), interpolation=cv2.INTER_AREA), rng)
    spine = (spine + 0.5) * size / cells - 0.5
    trimmed = spine[int(len(spine) * rng.uniform(0, 0.2)) :]
    trimmed = trimmed[: len(trimmed) - int(len(trimmed) * rng.uniform(0, 0.2))]
    reach = min(9, len(trimmed))
    waver = rng.normal(0, 0.5 * np.sqrt(depth.max()), trimmed.shape)
    return _smooth(trimmed + waver, reach)


def _smooth(points: np.ndarray, reach: int) -> np.ndarray:
    """A running mean over ``reach`` points."""
    padded = np.pad(points, ((reach // 2, (reach - 1) // 2), (0, 0)), mode="edge")
    kernel = np.full(reach, 1 / reach)
    return np.stack([np.convolve(padded[:, axis], kernel, "valid") for axis in (0, 1)], axis=1)


def _spine(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The path between two far ends of a region that keeps to its middle; (M, 2), x and y."""
    nodes = np.flatnonzero(depth > 0)
    deep = depth.flat[nodes] >= 0.3 * depth.max()
    graph, starts = _graph(depth, nodes)
    first = _farthest(graph, rng.choice(np.flatnonzero(deep)), deep)
    last = _farthest(graph, first, deep)
    middle_is_cheap = (depth.max() / depth.flat[nodes]) ** 2
    graph.data *= (middle_is_cheap[starts] + middle_is_cheap[graph.indices]) / 2
    _, before = dijkstra(graph, indices=first, return_predecessors=True)
    path = [last]
    while path[-1] != first:
        path.append(before[path[-1]])
    rows, columns = np.unravel_index(nodes[path], depth.shape)
    return np.stack([columns, rows], axis=1).astype(float)


def _graph(depth: np.ndarray, nodes: np.ndarray) -> tuple[csr_array, np.ndarray]:
    """The steps from each cell of a region to its eight neighbours, by length; and their starts."""
    number = np.full(np.array(depth.shape) + 2, -1, dtype=np.int32)
    here = number[1:-1, 1:-1]
    here.flat[nodes] = np.arange(len(nodes))
    around = np.lib.stride_tricks.sliding_window_view(number, (3, 3)).reshape(*depth.shape, 9)
    there = around.reshape(-1, 9)[nodes]  # (N, 9), by increasing number
    exists = there >= 0
    exists[:, 4] = False  # itself
    lengths = np.broadcast_to(STEPS, there.shape)[exists]
    ends = np.concatenate([[0], exists.sum(1).cumsum()])
    starts = np.repeat(np.arange(len(nodes)), exists.sum(1))
    return csr_array((lengths, there[exists], ends), shape=(len(nodes),) * 2), starts


def _farthest(graph: csr_array, start: int, candidates: np.ndarray) -> int:
    distances = dijkstra(graph, indices=start)
    distances[~candidates | ~np.isfinite(distances)] = -1
    return int(distances.argmax())
