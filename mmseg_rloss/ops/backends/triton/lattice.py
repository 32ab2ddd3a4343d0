"""The permutohedral lattice on the GPU, in Triton kernels (``triton_kernels.py``).

The definition is that of ``reference.py``, and so are the lattice and its weights, bit for bit.
The order of the lattice points differs from run to run, since threads race to enter them into a
hash table; every sum over pixels or points has a value that does not depend on that order.

One number comes back to the host, the number of lattice points: they are 5 to 100 times fewer
than a batch could need at most, and memory for that many is out of the question.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..reference import lattice as reference
from ..reference.lattice import BLUR_BOTH, BLUR_DESCENDING

try:
    import triton

    from . import lattice_kernels as kernels
except ImportError:
    triton = None

# Pixels, or points, of a program that searches the hash table; elements of another's block; pixels
# of a strip of the splat; channels of a block.
_SEARCHED = 32
_BLOCK = 2048
_STRIP_LENGTH = 32
_MAX_CHANNELS = 32

# Channels are taken in groups whose tensors of lattice points, and images, have fewer elements
# than this, but in blocks at least.
_MAX_ELEMENTS = 1 << 27
_MAX_ROWS = (1 << 31) // _MAX_CHANNELS - 1  # what the kernels' 32-bit offsets reach

# A key has 63 bits. Fields hold coordinates below 2^12, beyond which float32 loses the position in
# a simplex (reference.py), and a point's neighbours.
_KEY_BITS = 63
_MAX_FIELD = 13
_MIN_FIELD = 4

_failed_devices: set[torch.device] = set()


class CannotLaunch(RuntimeError):
    """Triton could not compile a kernel, or the device cannot run it."""


class Lattice(NamedTuple):
    """The lattice points of a batch and how its pixels and its points are connected."""

    vertices: Tensor  # (N, D+1, P) int32: slots of the corners of each pixel's simplex
    barycentric: Tensor  # (N, D+1, P): their weights
    point_of_slot: Tensor  # (capacity,) int32
    neighbours: Tensor  # (D+1, 2, M) int32: next and previous point along each axis, -1 if none
    num_points: int  # M


def is_available() -> bool:
    """Whether Triton is installed."""
    return triton is not None


def permutohedral_filter(
    features: Tensor, values: Tensor, blur: str, num_threads: int = 0
) -> Tensor:
    """Filter ``values`` (N, K, P) by the unit Gaussian of ``features`` (N, D, P).

    What the kernels are not made for goes to the plain-PyTorch filter: float64, coordinates too
    far apart for a key, and, with a warning, a device that Triton cannot compile for.
    """
    filtered = _filter(values, blur, features)
    if filtered is None:
        filtered = reference.permutohedral_filter(features, values, blur)
    return filtered


def bilateral_filter(
    image: Tensor,
    values: Tensor,
    sigma_rgb: float,
    sigma_xy: float,
    blur: str,
    num_threads: int = 0,
) -> Tensor:
    """Filter ``values`` (N, K, H, W) by position and the colours of ``image`` (N, C, H, W).

    What the kernels are not made for goes to the plain-PyTorch filter, as above.
    """
    width = image.shape[-1]
    filtered = _filter(values.flatten(2), blur, image.flatten(2), sigma_rgb, sigma_xy, width)
    if filtered is None:
        return reference.bilateral_filter(image, values, sigma_rgb, sigma_xy, blur)
    return filtered.view_as(values)


def _filter(values: Tensor, blur: str, *pixels: Any) -> Tensor | None:
    """Filter ``values`` (N, K, P) on the lattice of ``pixels``; None where the kernels cannot."""
    if values.dtype != torch.float32 or values.device in _failed_devices:
        return None
    try:
        with torch.cuda.device_of(values):
            lattice = build_lattice(*pixels)
            return None if lattice is None else filter_on(lattice, values, blur)
    except CannotLaunch as error:
        _failed_devices.add(values.device)
        warnings.warn(
            f"mmseg_rloss filters in plain PyTorch on {values.device}, several times slower: "
            f"Triton needs a C compiler and a GPU that it supports ({error})",
            stacklevel=2,
        )
        return None


def build_lattice(
    planes: Tensor, divisor: float = 1.0, position_divisor: float = 1.0, width: int = 0
) -> Lattice | None:
    """Find the simplex of every pixel and link the lattice points.

    The features are ``planes`` (N, D, P) over ``divisor`` or, where a ``width`` of the image is
    given, the position of each pixel over ``position_divisor`` and then those. None where the
    kernels' integers are too small. Waits for the device to count the points.
    """
    num_images, dim, num_pixels = planes.shape
    dim += 2 * bool(width)
    field = min(_MAX_FIELD, (_KEY_BITS - (num_images - 1).bit_length()) // dim)
    if field < _MIN_FIELD or num_pixels > _MAX_ROWS:
        return None
    barycentric = planes.new_empty(num_images, dim + 1, num_pixels)
    vertices = torch.empty_like(barycentric, dtype=torch.int32)
    keys = torch.empty_like(barycentric, dtype=torch.int64)
    capacity = triton.next_power_of_2(keys.numel() * 3 // 2)  # never full: searches end, and soon
    table = keys.new_full((capacity,), kernels.EMPTY.value)
    point_of_slot = torch.empty_like(table, dtype=torch.int32)
    counters = vertices.new_zeros(2)
    rows = triton.next_power_of_2(dim + 1)
    amd_warp_size = None
    if torch.version.hip:
        amd_warp_size = torch.cuda.get_device_properties(planes.device).warp_size
    search = {
        "capacity": capacity,
        "hash_shift": 65 - capacity.bit_length(),  # of 64 bits, log2(capacity) remain
        "DIM": dim,
        "FIELD": field,
        "ROWS": rows,
    }
    _launch(
        kernels.insert_kernel,
        (num_images * triton.cdiv(num_pixels, _SEARCHED),),
        *(planes, divisor, position_divisor, width),
        *(table, point_of_slot, keys, vertices, barycentric, counters, num_pixels),
        SCALES=tuple(reference.elevation_scales(dim)),
        HAS_POSITION=bool(width),
        PIXELS=_SEARCHED,
        num_warps=insertion_warps(rows, amd_warp_size),
        enable_fp_fusion=False,
        **search,
    )
    num_points, outgrown = counters.tolist()
    if outgrown or num_points > _MAX_ROWS:
        return None
    neighbours = vertices.new_empty(dim + 1, 2, num_points)
    _launch(
        kernels.link_kernel,
        (triton.cdiv(num_points, _SEARCHED),),
        *(keys, table, point_of_slot, neighbours, num_points),
        POINTS=_SEARCHED,
        num_warps=1,
        **search,
    )
    return Lattice(vertices, barycentric, point_of_slot, neighbours, num_points)


def filter_on(lattice: Lattice, values: Tensor, blur: str) -> Tensor:
    """Splat, blur and slice ``values`` (N, K, P)."""
    filtered = torch.empty_like(values)
    group = _MAX_ELEMENTS // max(lattice.num_points, values.shape[2])
    group = max(_MAX_CHANNELS, group - group % _MAX_CHANNELS)
    for part, target in zip(values.split(group, dim=1), filtered.split(group, dim=1), strict=True):
        packed, largest = pack(part)
        points = splat(lattice, packed, largest)
        slice_into(target, lattice, blur_points(lattice, points, blur), largest)
    return filtered


def pack(values: Tensor) -> tuple[Tensor, Tensor]:
    """Put the channels of each pixel of ``values`` (N, K, P) side by side: (N, P, width).

    Also returns the largest magnitude of each channel (N, K), as the bits of a float32.
    """
    num_images, num_channels, num_pixels = values.shape
    quads = triton.cdiv(num_channels, 4)
    packed = values.new_empty(num_images, num_pixels, 4 * quads)
    largest = torch.zeros(num_images, num_channels, dtype=torch.int32, device=values.device)
    blocks, pixels, channels = _blocks(num_pixels, num_channels)
    _launch(
        kernels.pack_kernel,
        (num_images * blocks, triton.cdiv(4 * quads, channels)),
        *(values, packed, largest, num_channels, num_pixels, values.stride(0), quads),
        PIXELS=pixels,
        CHANNELS=channels,
    )
    return packed, largest


def splat(lattice: Lattice, packed: Tensor, largest: Tensor) -> Tensor:
    """Sum the pixels (N, P, width) onto the lattice points (M, width), in quanta of a channel."""
    num_images, num_pixels, width = packed.shape
    num_channels, corners = largest.shape[1], lattice.vertices.shape[1]
    points = packed.new_zeros(lattice.num_points, width, dtype=torch.int64)
    num_strips = triton.cdiv(num_pixels, _STRIP_LENGTH)
    blocks, strips, channels = _blocks(num_strips, num_channels, block=_BLOCK // 4)
    _launch(
        kernels.splat_kernel,
        (num_images * blocks * corners, triton.cdiv(num_channels, channels)),
        *(packed, lattice.vertices, lattice.barycentric, lattice.point_of_slot, largest, points),
        *(num_channels, num_pixels, width, _bits(num_pixels)),
        CORNERS=corners,
        STRIPS=strips,
        LENGTH=_STRIP_LENGTH,
        CHANNELS=channels,
    )
    return points.float()


def blur_points(lattice: Lattice, points: Tensor, blur: str) -> Tensor:
    """Convolve the points (M, width) with [1/2, 1, 1/2] along each axis, in either order or both.

    Both orders advance in one launch per axis, since neither fills the device.
    """
    num_points, width = points.shape
    num_orders = 2 if blur == BLUR_BOTH else 1
    source = points.expand(num_orders, num_points, width)
    target, spare = (points.new_empty(source.shape) for _ in range(2))
    blocks, rows, channels = _blocks(num_points, width)
    ascending = range(len(lattice.neighbours))
    axes = list(zip(ascending, reversed(ascending), strict=True))
    for first_axis, second_axis in reversed(axes) if blur == BLUR_DESCENDING else axes:
        _launch(
            kernels.blur_kernel,
            (blocks, triton.cdiv(width, channels), num_orders),
            *(source, target, lattice.neighbours, num_points, width // 4),
            *(source.stride(0) // 4, first_axis, second_axis),
            POINTS=rows,
            CHANNELS=channels,
        )
        source, target, spare = target, spare, target
    return source.mean(dim=0)


def slice_into(filtered: Tensor, lattice: Lattice, points: Tensor, largest: Tensor) -> None:
    """Interpolate the pixels ``filtered`` (N, K, P) from the lattice points (M, width)."""
    num_images, num_channels, num_pixels = filtered.shape
    corners = lattice.vertices.shape[1]
    blocks, pixels, channels = _blocks(num_pixels, num_channels)
    _launch(
        kernels.slice_kernel,
        (num_images * blocks, triton.cdiv(num_channels, channels)),
        *(points, lattice.vertices, lattice.barycentric, lattice.point_of_slot, largest),
        *(filtered, reference.blur_gain(corners - 1), num_channels, num_pixels),
        *(filtered.stride(0), points.shape[1] // 4, _bits(num_pixels)),
        CORNERS=corners,
        PIXELS=pixels,
        CHANNELS=channels,
    )


def _blocks(num_pixels: int, num_channels: int, block: int = _BLOCK) -> tuple[int, int, int]:
    """How many blocks of how many pixels, and of how many channels, cover a channel group."""
    channels = max(8, min(_MAX_CHANNELS, triton.next_power_of_2(num_channels)))
    pixels = block // channels
    return triton.cdiv(num_pixels, pixels), pixels, channels


def insertion_warps(rows: int, amd_warp_size: int | None) -> int:
    """Warps of a program that enters keys: few, each of which keeps 64 pairs of axes per thread.

    On AMD GPUs, Triton compares and swaps one element per thread and no more.
    """
    if amd_warp_size:
        return rows * _SEARCHED // amd_warp_size
    return max(1, rows * rows * _SEARCHED // 2048)


def _bits(num_pixels: int) -> int:
    """Bits of a value in the fixed-point sums of the splat, which must stay below 2^62."""
    return 62 - (num_pixels - 1).bit_length()


def _launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Launch ``kernel``, which compiles it at its first use; nothing here runs on the host."""
    try:
        kernel[grid](*arguments, **options)
    except Exception as error:  # compiler, assembler, linker and driver fail in types of their own
        raise CannotLaunch(f"{kernel.__name__}: {error}") from error
