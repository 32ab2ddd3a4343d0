"""The permutohedral lattice in plain PyTorch: the readable twin of every other backend.

Runs on any device and in float32 or float64. The mathematics is that of Adams, Baek and Davis,
"Fast High-Dimensional Filtering Using the Permutohedral Lattice", Eurographics 2010, with the
scaling and the blur of Krahenbuhl and Koltun's DenseCRF, which the original loss uses.

Names used throughout:

* ``elevated``: a feature vector (D,) mapped into the hyperplane of R^(D+1) whose coordinates sum
  to zero (section 3.1 of the paper).
* A lattice point is an integer vector of that hyperplane whose D+1 coordinates are all congruent
  modulo D+1. The differences between its first D coordinates and its last, divided by D+1, are
  D free integers: ``coordinates`` here. In them, the blur direction j < D is the unit vector j,
  and the last blur direction is (-1, ..., -1).
* ``barycentric``: the weights of the D+1 corners of the simplex that encloses a pixel.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

BLUR_BOTH = "both"  # mean of the two orders below: a symmetric filter
BLUR_ASCENDING = "ascending"  # axes 0, 1, ..., D: the original's product A*S
BLUR_DESCENDING = "descending"  # axes D, ..., 1, 0: its transpose

# Elements of the largest temporary of a splat; channels are taken in groups that stay below it.
_MAX_TEMPORARY = 1 << 26


class Lattice(NamedTuple):
    """The lattice points of a batch and how its pixels and its points are connected."""

    vertices: Tensor  # (N*P, D+1) int64: the lattice points of each pixel's simplex
    barycentric: Tensor  # (N*P, D+1): their weights
    neighbours: Tensor  # (D+1, 2, M) int64: next and previous point along each axis, M if none
    num_points: int  # M


def build(planes: Tensor, bandwidth: float, position_bandwidth: float | None) -> Lattice:
    """Build the lattice of ``planes`` (N, C, *S) over their bandwidth and, if given, the position.

    Features too large for their type are computed in float64.
    """
    features = compute_features(planes, bandwidth, position_bandwidth)
    if _outgrow_type(features):
        check_resolved(features, has_position=position_bandwidth is not None)
        return build(planes.double(), bandwidth, position_bandwidth)
    return build_lattice(features)


def filter(lattice: Lattice, values: Tensor, blur: str) -> Tensor:
    """Splat, blur and slice ``values`` (N, K, *S)."""
    num_images, num_channels = values.shape[:2]
    flat = values.flatten(2).transpose(1, 2).flatten(0, 1).to(lattice.barycentric)  # (N*P, K)
    group = max(1, _MAX_TEMPORARY // lattice.vertices.numel())
    groups = [_filter_channels(lattice, part, blur) for part in flat.split(group, dim=1)]
    filtered = torch.cat(groups, dim=1).view(num_images, -1, num_channels).transpose(1, 2)
    return filtered.reshape(values.shape).to(values.dtype)


def associate(
    lattice: Lattice, values: Tensor, region: Tensor, *, overwrite: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Filter ``values`` (N, K, *S) in both orders, and sum up what the region (N, *S) gets.

    ``overwrite`` lets a backend put the result where the values are, which this one does not.

    Returns:
        The filtered values (N, K, *S); ``values' filtered`` (N, K), which is kept within each
        channel; ``region' filtered`` (N, K), the volume.
    """
    filtered = filter(lattice, values, BLUR_BOTH)
    association = (values * filtered).flatten(2).sum(2)
    volume = (region.unsqueeze(1) * filtered).flatten(2).sum(2)
    return filtered, association, volume


def _outgrow_type(features: Tensor) -> bool:
    """Whether the lattice's coordinates for (N, D, P) leave too few bits for the simplex.

    From 2^12 on for float32 and 2^41 for float64, a pixel's position in its simplex has less than
    12 bits.
    """
    dim = features.shape[1]
    rows, j = torch.arange(dim + 1).unsqueeze(1), torch.arange(1, dim + 1)
    coefficients = (rows < j).double() - j * (rows == j)  # (D+1, D), of the elevation
    scales = torch.tensor(elevation_scales(dim), dtype=torch.float64) / (dim + 1)
    factors = (coefficients[:dim] - coefficients[dim]) * scales  # (D, D)
    largest = features.abs().amax(dim=(0, 2)).cpu().double()  # (D,)
    limit = 2.0**-11 / torch.finfo(features.dtype).eps
    return not (factors.abs() @ largest).max() < limit  # NaN is not below, either


def check_resolved(features: Tensor, has_position: bool) -> None:
    """Raise for ``features`` that outgrow their type where there is no wider one."""
    if features.dtype == torch.float64:
        name = "image" if has_position else "features"
        raise ValueError(
            f"{name} over the bandwidth must be finite and within what float64 resolves: "
            "use a larger bandwidth"
        )


def compute_features(planes: Tensor, bandwidth: float, position_bandwidth: float | None) -> Tensor:
    """The features (N, D, P) of the pixels: x, y if there is a bandwidth for them, and planes."""
    # Tensors, since CUDA multiplies by the inverse of a number: another float in the last bit.
    features = planes / planes.new_full((), bandwidth)  # (N, C, *S)
    if position_bandwidth is None:
        return features.flatten(2)
    shape = planes.shape[2:]
    axes = [torch.arange(size, device=planes.device, dtype=planes.dtype) for size in shape]
    position = torch.stack(torch.meshgrid(*axes, indexing="ij")[::-1])  # x comes first
    position = position / planes.new_full((), position_bandwidth)
    return torch.cat((position.expand(len(planes), *position.shape), features), dim=1).flatten(2)


def build_lattice(features: Tensor) -> Lattice:
    """Find the simplex of every pixel of ``features`` (N, D, P) and link the lattice points."""
    num_images, dim, num_pixels = features.shape
    coordinates, barycentric = enclosing_simplex(features)  # (N, D+1, D, P), (N, D+1, P)
    coordinates = coordinates.permute(0, 3, 1, 2).reshape(-1, dim)  # (N*P*(D+1), D)
    owner = torch.arange(num_images, device=features.device)
    owner = owner.repeat_interleave(num_pixels * (dim + 1)).unsqueeze(1)
    codec = KeyCodec(torch.cat((owner, coordinates), dim=1))
    keys, vertices = codec.keys.unique(return_inverse=True)  # (M,) sorted, (N*P*(D+1),)
    return Lattice(
        vertices=vertices.view(-1, dim + 1),
        barycentric=barycentric.transpose(1, 2).reshape(-1, dim + 1),
        neighbours=_link(codec, keys, vertices, coordinates, owner),
        num_points=len(keys),
    )


def enclosing_simplex(features: Tensor) -> tuple[Tensor, Tensor]:
    """The simplex around each pixel of ``features`` (N, D, P).

    Returns the coordinates (N, D+1, D, P) int64 of its corners and their barycentric weights
    (N, D+1, P). The order of the floating-point operations is part of the definition: every
    backend repeats it, so that all of them build the same lattice, bit for bit.
    """
    dim = features.shape[1]
    elevated = _elevate(features)  # (N, D+1, P)
    nearest = torch.round(elevated * _constant(1.0 / (dim + 1), features))
    remainder = elevated - nearest * (dim + 1)
    remainder, order = remainder.sort(dim=1, descending=True, stable=True)
    remainder = remainder * _constant(1.0 / (dim + 1), features)

    # The weights are the gaps between neighbouring sorted remainders, taken around the circle.
    barycentric = torch.empty_like(remainder)
    barycentric[:, 0] = remainder[:, dim] + (1.0 - remainder[:, 0])
    barycentric[:, 1:] = (remainder[:, :-1] - remainder[:, 1:]).flip(1)

    # Corner t+1 is corner t less one in the axis of the next smallest remainder. Subtracting one
    # from the last axis adds one to every difference against it.
    steps = torch.cat(
        (torch.eye(dim, dtype=torch.int64), -torch.ones(1, dim, dtype=torch.int64))
    ).to(features.device)  # (D+1, D)
    corner = (nearest[:, :dim] - nearest[:, dim:]).long()  # (N, D, P)
    corners = [corner]
    for axis in range(dim, 0, -1):
        corner = corner - steps[order[:, axis]].transpose(1, 2)
        corners.append(corner)
    return torch.stack(corners, dim=1), barycentric


def _elevate(features: Tensor) -> Tensor:
    """Map (N, D, P) onto the hyperplane (N, D+1, P), scaled so that the blur has variance one."""
    dim = features.shape[1]
    elevated = features.new_empty(features.shape[0], dim + 1, features.shape[2])
    total = torch.zeros_like(features[:, 0])
    scales = elevation_scales(dim)
    for j in range(dim, 0, -1):
        scaled = features[:, j - 1] * _constant(scales[j - 1], features)
        elevated[:, j] = total - scaled * j
        total = total + scaled
    elevated[:, 0] = total
    return elevated


def elevation_scales(dim: int) -> list[float]:
    """The factor of each feature in the elevation."""
    return [math.sqrt(2.0 / 3.0) * (dim + 1) / math.sqrt(j * (j + 1)) for j in range(1, dim + 1)]


def _constant(value: float, like: Tensor) -> float:
    """``value`` rounded to the type of ``like``, as a compiled backend would hold it."""
    return torch.tensor(value, dtype=like.dtype).item()


class KeyCodec:
    """Turns integer rows into single int64 keys that are equal exactly where the rows are.

    Columns are packed in mixed radix. Where the product of their ranges outgrows 62 bits, the
    key so far is replaced by its rank among the distinct ones, and packing goes on from there.
    """

    def __init__(self, rows: Tensor) -> None:  # (L, columns) int64
        self._low = rows.amin(dim=0) - 1  # the margin holds a point's neighbours
        self._extent = (rows.amax(dim=0) - self._low + 2).tolist()
        self._ranks: dict[int, Tensor] = {}
        key = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
        distinct = 1
        for column, extent in enumerate(self._extent):
            if distinct * extent >= 1 << 62:
                self._ranks[column], key = key.unique(return_inverse=True)
                distinct = len(self._ranks[column])
            key = key * extent + (rows[:, column] - self._low[column])
            distinct *= extent
        self.keys = key  # (L,)

    def encode(self, rows: Tensor) -> Tensor:
        """Keys of rows at most one step outside those given before; -1 where none is near."""
        key = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
        known = torch.ones_like(key, dtype=torch.bool)
        for column, extent in enumerate(self._extent):
            if column in self._ranks:
                key, found = _find(self._ranks[column], key)
                known &= found
            key = key * extent + (rows[:, column] - self._low[column])
        return torch.where(known, key, -1)


def _find(table: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Positions of ``keys`` in the sorted ``table``, and whether they are there."""
    position = torch.searchsorted(table, keys).clamp_(max=len(table) - 1)
    return position, table[position] == keys


def _link(
    codec: KeyCodec, keys: Tensor, vertices: Tensor, coordinates: Tensor, owner: Tensor
) -> Tensor:
    """Positions (D+1, 2, M) of every point's two neighbours along each axis."""
    num_points, dim = len(keys), coordinates.shape[1]
    points = coordinates.new_empty(num_points, dim + 1)
    points[vertices] = torch.cat((owner, coordinates), dim=1)  # equal rows: any one may win
    neighbours = vertices.new_empty(dim + 1, 2, num_points)
    for axis in range(dim + 1):
        step = points.new_zeros(dim + 1)
        step[1:] = -1 if axis == dim else 0
        if axis < dim:
            step[axis + 1] = 1
        for side, neighbour in enumerate((points + step, points - step)):
            position, found = _find(keys, codec.encode(neighbour))
            neighbours[axis, side] = torch.where(found, position, num_points)
    return neighbours


def _filter_channels(lattice: Lattice, values: Tensor, blur: str) -> Tensor:
    """Splat, blur and slice ``values`` (N*P, K)."""
    dim = lattice.vertices.shape[1] - 1
    points = _splat(lattice, values)
    if points.device.type == "cpu" and not points.isfinite().all():  # a GPU would have to wait
        raise ValueError("values must be finite, but NaN or infinity is among them")
    ascending, descending = range(dim + 1), range(dim, -1, -1)
    if blur == BLUR_BOTH:
        points = 0.5 * (_blur(lattice, points, ascending) + _blur(lattice, points, descending))
    else:
        points = _blur(lattice, points, ascending if blur == BLUR_ASCENDING else descending)
    return _slice(lattice, points) / blur_gain(dim)


def blur_gain(dim: int) -> float:
    """The gain of the blur along the D+1 axes for which Krahenbuhl and Koltun's code corrects."""
    return 1.0 + 2.0**-dim


def _splat(lattice: Lattice, values: Tensor) -> Tensor:
    """Sum the pixels (N*P, K) onto the lattice points (M, K), in the same order on every run."""
    corners = lattice.vertices.shape[1]
    vertices, order = lattice.vertices.flatten().sort(stable=True)
    lengths = torch.bincount(vertices, minlength=lattice.num_points)
    weights = lattice.barycentric.flatten()[order].unsqueeze(1)
    weighted = values[order // corners] * weights  # (N*P*(D+1), K)
    # The check that `unsafe` leaves out would wait for the device.
    return torch.segment_reduce(weighted, "sum", lengths=lengths, axis=0, unsafe=True)


def _blur(lattice: Lattice, points: Tensor, axes: range) -> Tensor:
    """Convolve the points (M, K) with [1/2, 1, 1/2] along each axis; absent points hold zero."""
    for axis in axes:
        padded = torch.cat((points, torch.zeros_like(points[:1])))  # (M+1, K)
        after, before = lattice.neighbours[axis]
        points = points + 0.5 * (padded[after] + padded[before])
    return points


def _slice(lattice: Lattice, points: Tensor) -> Tensor:
    """Interpolate the pixels (N*P, K) from the lattice points (M, K)."""
    filtered = points.new_zeros(len(lattice.vertices), points.shape[1])
    for corner in range(lattice.vertices.shape[1]):
        weights = lattice.barycentric[:, corner].unsqueeze(1)
        filtered += weights * points[lattice.vertices[:, corner]]
    return filtered
