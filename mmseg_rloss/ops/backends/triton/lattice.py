"""The permutohedral lattice on the GPU, in Triton kernels (``lattice_kernels.py``).

The definition is that of ``reference/lattice.py``, and so are the lattice and its weights, bit for
bit. The order of the lattice points differs from run to run, since threads race to enter them into
a hash table; every sum over pixels or points has a value that does not depend on that order.

A lattice is built ahead: ``build`` launches the search and returns. The number of points, without
which no memory for them can be had, comes to the host while it goes on, and the first filtering
waits for nothing but that. The table has room for as many points as natural images have, which
fits into the second-level cache; where more turn up, the lattice is built again with room for any
number.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from .. import native
from ..reference import lattice as reference
from ..reference.lattice import BLUR_BOTH, BLUR_DESCENDING
from .launch import is_available, is_supported, launch, launching, registers

if is_available():
    import triton

    from . import lattice_kernels as kernels

# Pixels, or points, of a program that searches the hash table; elements of another's block; blocks
# of a program that finds the largest values; pixels of a strip of the splat; channels of a block.
_SEARCHED = 32
_BLOCK = 2048
_PACKED_BLOCKS = 4
_STRIP_LENGTH = 32
_MAX_CHANNELS = 32

# Room for lattice points at first: natural images have 0.05 to 0.2 per pixel, noise 0.5. A
# search that visits more slots than _MAX_PROBES has met a table that is too full.
_MIN_POINTS = 1 << 12
_POINTS_PER_PIXEL = 0.5
_MAX_PROBES = 128

# Channels are taken in groups whose tensors of lattice points, and images, have fewer elements
# than this, but in blocks at least.
_MAX_ELEMENTS = 1 << 27
_MAX_ROWS = (1 << 31) // _MAX_CHANNELS - 1  # what the kernels' 32-bit offsets reach
_MAX_SLOTS = 1 << 31

# A key has 63 bits. Fields hold coordinates below 2^12, beyond which float32 loses the position in
# a simplex (see the twin), and a point's neighbours.
_KEY_BITS = 63
_MAX_FIELD = 13
_MIN_FIELD = 4


@dataclass
class Search:
    """A search for the lattice points that has been launched, and what linking them needs."""

    vertices: Tensor  # (N, D+1, P) int32: the corners of each pixel's simplex
    barycentric: Tensor  # (N, D+1, P): their weights
    keys: Tensor  # (room,) int64: names of the lattice points
    table: Tensor  # (capacity,) int64: the keys by their hash
    point_of_slot: Tensor  # (capacity,) int32
    options: dict[str, int]  # of the kernels that look into the table
    counts: Tensor  # (4,) int32 on the host: as the kernel's
    ready: torch.cuda.Event | None  # when the counts are there; None where they are already

    def outcome(self) -> tuple[int, bool, bool]:
        """The number of points, whether they had room and whether keys could name them.

        Waits for the search and for nothing that was launched after it.
        """
        if self.ready is not None:
            self.ready.synchronize()
        last_point, outgrown, overflowed, _ = self.counts.tolist()  # each -1 at first
        num_points = last_point + 1
        return num_points, overflowed < 0 and num_points <= len(self.keys), outgrown < 0


@dataclass
class Points:
    """How the pixels and the lattice points of a batch are connected."""

    vertices: Tensor  # (N, D+1, P) int32: the corners of each pixel's simplex
    barycentric: Tensor  # (N, D+1, P): their weights
    neighbours: Tensor  # (D+1, 2, M) int32: next and previous point along each axis, -1 if none

    @property
    def num_points(self) -> int:
        return self.neighbours.shape[2]


@dataclass
class Lattice:
    """The lattice of a batch of images, which may still be under construction."""

    planes: Tensor  # (N, C, P) or (N, C, H, W)
    bandwidth: float
    position_bandwidth: float | None
    search: Search | None = None
    points: Points | None = None  # without a search, either: the twin's task
    twin: reference.Lattice | native.lattice.Lattice | None = None

    def as_twin(self) -> tuple[ModuleType, torch.device, Any]:
        """For what the kernels are not made for: another backend, its device and its lattice.

        That is plain PyTorch where the planes are, or, of so many dimensions that it would take
        many GB, the compiled kernels on the CPU.
        """
        has_position = self.position_bandwidth is not None
        many = self.planes.shape[1] + 2 * has_position > _KEY_BITS // _MIN_FIELD
        on_cpu = many and native.is_available()
        backend = native.lattice if on_cpu else reference
        device = torch.device("cpu") if on_cpu else self.planes.device
        if self.twin is None:
            planes = self.planes.to(device)
            self.twin = backend.build(planes, self.bandwidth, self.position_bandwidth)
        return backend, device, self.twin


def build(planes: Tensor, bandwidth: float, position_bandwidth: float | None) -> Lattice:
    """Begin to build the lattice of ``planes`` (N, C, P) or (N, C, H, W), without waiting.

    The features of a pixel are its ``planes`` over the ``bandwidth``, behind its position x, y
    over the ``position_bandwidth`` where that is given.
    """
    lattice = Lattice(planes, bandwidth, position_bandwidth)
    if planes.numel() and planes.dtype == torch.float32 and is_supported(planes):
        num_pixels = len(planes) * planes[0, 0].numel()
        room = max(_MIN_POINTS, int(num_pixels * _POINTS_PER_PIXEL))
        with launching(planes.device):
            lattice.search = _search(lattice, room, _MAX_PROBES)
    return lattice


def filter(lattice: Lattice, values: Tensor, blur: str) -> Tensor:
    """Filter ``values`` (N, K, *S) by the Gaussian of the lattice's features.

    Values whose channels lie side by side (``channels_last``) are taken as they are; the result
    is contiguous. What the kernels are not made for goes to the twin: float64, coordinates too
    far apart for a key, and, with a warning, a device that Triton cannot compile for. More than 15
    dimensions go to the CPU and come back.
    """
    filtered = _filter(lattice, _dense(values), blur)
    if filtered is None:
        backend, device, twin = lattice.as_twin()
        filtered = backend.filter(twin, values.to(device), blur).to(values.device)
    return filtered


def associate(
    lattice: Lattice, values: Tensor, region: Tensor, *, overwrite: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Filter ``values`` (N, K, *S) in both orders, and sum up as the twin does.

    Their memory is never the result's, as ``overwrite`` would allow.
    """
    num_images, num_channels = values.shape[:2]
    blocks, _, _ = _blocks(values[:1, :1].numel(), num_channels)
    sums = values.new_empty(2, num_images, num_channels, blocks)
    filtered = _filter(lattice, _dense(values), BLUR_BOTH, region.contiguous(), sums)
    if filtered is None:
        backend, device, twin = lattice.as_twin()
        sums = backend.associate(twin, values.to(device), region.to(device))
        return tuple(tensor.to(values.device) for tensor in sums)
    association, volume = sums.sum(dim=3)
    return filtered, association, volume.clone()  # an op must not return views of one tensor


def points_of(lattice: Lattice) -> Points | None:
    """The lattice when it is built; None where the kernels' integers are too small for it.

    Waits for the device to count the points, the first time.
    """
    if lattice.search is not None:
        first, lattice.search = lattice.search, None
        search: Search | None = first
        num_points, had_room, fits = first.outcome()
        if fits and not had_room:
            room = first.vertices.numel()
            search = _search(lattice, room, max_probes=_MAX_SLOTS - 1)
            if search is not None:
                num_points, _, fits = search.outcome()
        if search is not None and fits and num_points <= _MAX_ROWS:
            lattice.points = _link(search, num_points)
    return lattice.points


def _dense(values: Tensor) -> Tensor:
    return values if _has_rows(values) else values.contiguous()


def _has_rows(values: Tensor) -> bool:
    """Whether the channels of each pixel of ``values`` (N, K, ...) lie side by side."""
    return values.movedim(1, -1).is_contiguous()


def _filter(
    lattice: Lattice,
    values: Tensor,
    blur: str,
    region: Tensor | None = None,
    sums: Tensor | None = None,
) -> Tensor | None:
    """Filter, and write ``sums`` (2, N, K, blocks) if given; None where the kernels cannot."""
    if not values.numel():
        return torch.empty_like(values, memory_format=torch.contiguous_format)
    if values.dtype != torch.float32 or not is_supported(values):
        return None
    with launching(values.device):
        points = points_of(lattice)
        if points is None:
            return None
        has_rows = _has_rows(values)
        filtered = None  # until its memory is needed
        group = _MAX_ELEMENTS // max(points.num_points, values[0, 0].numel())
        group = max(_MAX_CHANNELS, group - group % _MAX_CHANNELS)
        for first in range(0, values.shape[1], group):
            channels = slice(first, first + group)
            part = values[:, channels].flatten(2)
            rows, largest, quanta = _gather(points, part, has_rows)
            _splat(points, rows, largest, quanta)
            blurred = _blur(points, quanta, blur)
            if filtered is None:
                filtered = torch.empty_like(values, memory_format=torch.contiguous_format)
            target = filtered[:, channels].flatten(2)
            if sums is None:
                _slice(points, blurred, largest, target)
            else:
                _slice(points, blurred, largest, target, part, region, sums[:, :, channels])
        return filtered
    return None


def _search(lattice: Lattice, room: int, max_probes: int) -> Search | None:
    """Launch the search for the simplex of every pixel, with room for so many lattice points.

    None where the kernels' integers are too small.
    """
    planes = lattice.planes
    has_position = lattice.position_bandwidth is not None
    num_images, num_planes = planes.shape[:2]
    num_pixels = planes[0, 0].numel()
    dim = num_planes + 2 * has_position
    field = min(_MAX_FIELD, (_KEY_BITS - (num_images - 1).bit_length()) // dim)
    room = min(room, num_images * num_pixels * (dim + 1))
    capacity = triton.next_power_of_2(2 * room)
    if field < _MIN_FIELD or num_pixels > _MAX_ROWS or capacity > _MAX_SLOTS:
        return None
    barycentric = planes.new_empty(num_images, dim + 1, num_pixels)
    vertices = torch.empty_like(barycentric, dtype=torch.int32)
    keys = torch.empty(room, dtype=torch.int64, device=planes.device)
    # One allocation, to clear the three at once.
    cleared = keys.new_full((capacity + capacity // 2 + 2,), kernels.EMPTY.value)
    table, point_of_slot, counts = cleared.split((capacity, capacity // 2, 2))
    point_of_slot, counts = point_of_slot.view(torch.int32), counts.view(torch.int32)
    rows = triton.next_power_of_2(dim + 1)
    options = {
        "capacity": capacity,
        "hash_shift": 65 - capacity.bit_length(),  # of 64 bits, log2(capacity) remain
        "DIM": dim,
        "FIELD": field,
        "ROWS": rows,
    }
    launch(
        kernels.insert_kernel,
        (num_images * triton.cdiv(num_pixels, _SEARCHED),),
        *(planes, lattice.bandwidth, lattice.position_bandwidth, planes.shape[-1]),
        *(table, point_of_slot, keys, vertices, barycentric, counts),
        *(num_pixels, room, max_probes),
        SCALES=tuple(reference.elevation_scales(dim)),
        PIXELS=_SEARCHED,
        num_warps=max(1, rows * rows * _SEARCHED // 1024),  # 32 pairs of axes in each thread
        **registers(96),
        enable_fp_fusion=False,
        **options,
    )
    launch(
        kernels.number_kernel,
        (triton.cdiv(vertices.numel(), _BLOCK),),
        *(vertices, point_of_slot, vertices.numel(), capacity),
        BLOCK=_BLOCK,
    )
    ready = None
    if counts.is_cuda:
        on_host = torch.empty(counts.shape, dtype=counts.dtype, pin_memory=True)
        counts = on_host.copy_(counts, non_blocking=True)
        ready = torch.cuda.Event()
        ready.record()
    return Search(vertices, barycentric, keys, table, point_of_slot, options, counts, ready)


def _link(search: Search, num_points: int) -> Points:
    """Find the neighbours of every lattice point."""
    corners = search.vertices.shape[1]
    neighbours = search.vertices.new_empty(corners, 2, num_points)
    launch(
        kernels.link_kernel,
        (triton.cdiv(num_points, _SEARCHED),),
        *(search.keys, search.table, search.point_of_slot, neighbours, num_points),
        POINTS=_SEARCHED,
        num_warps=1,
        **search.options,
    )
    return Points(search.vertices, search.barycentric, neighbours)


def _gather(points: Points, values: Tensor, has_rows: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Put the channels of each pixel of ``values`` (N, K, P) side by side: rows (N, P, K).

    Also returns the largest magnitude of each channel (N, K), as the bits of a float32, and
    cleared memory (M, width) for the sums of the splat. A row of lattice points has ``width``
    channels, a multiple of four, to move in words of 16 bytes.
    """
    num_images, num_channels, num_pixels = values.shape
    width = 4 * triton.cdiv(num_channels, 4)
    size = points.num_points * width
    cleared = torch.zeros(
        size + triton.cdiv(num_images * num_channels, 2), dtype=torch.int64, device=values.device
    )
    quanta = cleared[:size].view(-1, width)
    largest = cleared[size:].view(torch.int32)[: num_images * num_channels]
    largest = largest.view(num_images, num_channels)
    rows = values.transpose(1, 2)
    if not has_rows:
        rows = values.new_empty(rows.shape)
    blocks, pixels, channels = _blocks(num_pixels, num_channels)
    launch(
        kernels.gather_kernel,
        (num_images * triton.cdiv(blocks, _PACKED_BLOCKS), triton.cdiv(num_channels, channels)),
        *(values, None if has_rows else rows, largest, num_channels, num_pixels),
        *values.stride(),
        PIXELS=pixels,
        BLOCKS=_PACKED_BLOCKS,
        CHANNELS=channels,
    )
    return rows, largest, quanta


def _splat(points: Points, rows: Tensor, largest: Tensor, quanta: Tensor) -> None:
    """Sum the pixels (N, P, K) onto the lattice points (M, width), in quanta of a channel."""
    num_images, num_pixels, num_channels = rows.shape
    corners = points.vertices.shape[1]
    num_strips = triton.cdiv(num_pixels, _STRIP_LENGTH)
    blocks, strips, channels = _blocks(num_strips, num_channels, block=_BLOCK // 4)
    launch(
        kernels.splat_kernel,
        (num_images * blocks * corners, triton.cdiv(num_channels, channels)),
        *(rows, points.vertices, points.barycentric, largest, quanta),
        *(num_channels, num_pixels, rows.stride(0), rows.stride(1)),
        *(quanta.shape[1], _bits(num_pixels)),
        CORNERS=corners,
        STRIPS=strips,
        LENGTH=_STRIP_LENGTH,
        CHANNELS=channels,
    )


def _blur(points: Points, quanta: Tensor, blur: str) -> Tensor:
    """Convolve the points (M, width) with [1/2, 1, 1/2] along each axis, in either order or both.

    Both orders advance in one launch per axis, since neither fills the device, and the last one
    takes their mean.
    """
    num_points, width = quanta.shape
    num_orders = 2 if blur == BLUR_BOTH else 1
    source = quanta.unsqueeze(0)
    target = quanta.new_empty(num_orders, num_points, width, dtype=torch.float32)
    spare = quanta.view(torch.float32).view(2, num_points, width)[:num_orders]  # after the first
    blocks, rows, channels = _blocks(num_points, width)
    ascending = range(len(points.neighbours))
    axes = list(zip(ascending, reversed(ascending), strict=True))
    for first_axis, second_axis in reversed(axes) if blur == BLUR_DESCENDING else axes:
        is_mean = blur == BLUR_BOTH and first_axis == ascending[-1]
        launch(
            kernels.blur_kernel,
            (blocks, triton.cdiv(width, channels), 1 if is_mean else num_orders),
            *(source, target, points.neighbours, num_points, width // 4),
            *(len(source) - 1, first_axis, second_axis),
            IS_MEAN=is_mean,
            POINTS=rows,
            CHANNELS=channels,
        )
        source, target, spare = target, spare, target
    return source[0]


def _slice(
    points: Points,
    blurred: Tensor,
    largest: Tensor,
    filtered: Tensor,
    values: Tensor | None = None,
    region: Tensor | None = None,
    sums: Tensor | None = None,
) -> None:
    """Interpolate the pixels ``filtered`` (N, K, P) from the lattice points (M, width).

    Also sums up their products with ``values`` (N, K, P) and the ``region`` over the pixels of
    each program: ``sums`` (2, N, K, blocks).
    """
    num_images, num_channels, num_pixels = filtered.shape
    corners = points.vertices.shape[1]
    blocks, pixels, channels = _blocks(num_pixels, num_channels)
    launch(
        kernels.slice_kernel,
        (num_images * blocks, triton.cdiv(num_channels, channels)),
        *(blurred, points.vertices, points.barycentric, largest, filtered),
        *(values, region, sums),
        *((0, 0, 0) if values is None else values.stride()),
        *((0, 0, 0) if sums is None else sums.stride()[:3]),
        *(reference.blur_gain(corners - 1), num_channels, num_pixels, filtered.stride(0)),
        *(blurred.shape[1] // 4, _bits(num_pixels)),
        CORNERS=corners,
        PIXELS=pixels,
        CHANNELS=channels,
    )


def _blocks(num_pixels: int, num_channels: int, block: int = _BLOCK) -> tuple[int, int, int]:
    """How many blocks of how many pixels, and of how many channels, cover a channel group."""
    channels = max(8, min(_MAX_CHANNELS, triton.next_power_of_2(num_channels)))
    pixels = block // channels
    return triton.cdiv(num_pixels, pixels), pixels, channels


def _bits(num_pixels: int) -> int:
    """Bits of a value in the fixed-point sums of the splat, which must stay below 2^62."""
    return 62 - (num_pixels - 1).bit_length()
