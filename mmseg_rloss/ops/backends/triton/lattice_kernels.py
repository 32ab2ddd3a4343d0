"""The kernels of ``triton/lattice.py``: what runs on the GPU.

A lattice point is named by a key: its image's index and its coordinates (see ``reference.py``)
side by side in one int64, ``FIELD`` bits each, so that a step along a blur axis adds a constant
to the key. A hash table with linear probing holds every key once.

``row`` runs over the axes or the corners, padded to the power of two ROWS that Triton wants.
"""

from __future__ import annotations

import triton
import triton.language as tl

EMPTY = tl.constexpr(-1)  # a slot of the hash table that holds no key; keys are not negative
NEVER = tl.constexpr(-2)  # what no slot ever holds
MULTIPLIER = tl.constexpr(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
ROUNDER = tl.constexpr(12582912.0)  # 1.5 * 2^23: adding it rounds a float32 half to even
INFINITY_BITS = tl.constexpr(0x7F800000)
BELOW_ALL = tl.constexpr(float("-inf"))


@triton.jit
def insert_kernel(
    planes,  # (N, C, P) float32, in rows of `width`
    bandwidth,
    position_bandwidth,  # None where the position is not a feature
    width,
    table,  # (capacity,) int64, EMPTY
    point_of_slot,  # (capacity,) int32, EMPTY: which lattice point a slot's key is
    keys,  # (room,) int64: keys of the lattice points
    vertices,  # (N, D+1, P) int32: the slots of each pixel's corners
    barycentric,  # (N, D+1, P) float32: their weights
    counts,  # (4,) int32, EMPTY: the last point; not EMPTY if a coordinate outgrew its field; if
    # the table was too full; spare
    num_pixels,
    room,
    max_probes,
    capacity,
    hash_shift,
    SCALES: tl.constexpr,
    DIM: tl.constexpr,
    FIELD: tl.constexpr,
    ROWS: tl.constexpr,
    PIXELS: tl.constexpr,
):
    """Find the simplex around every pixel and enter its corners into the table.

    The floating-point operations are those of ``reference.enclosing_simplex`` one by one, so the
    kernel must be compiled without fused multiply-adds.
    """
    image, pixel = _image_and_pixel(tl.program_id(0), num_pixels, PIXELS, PIXELS)
    inside = pixel < num_pixels
    row = tl.arange(0, ROWS)
    is_axis = (row <= DIM)[:, None]

    FIRST: tl.constexpr = 0 if position_bandwidth is None else 2  # feature from a plane

    # Elevate the features onto the hyperplane.
    elevated = tl.zeros([ROWS, PIXELS], tl.float32)
    total = tl.zeros([PIXELS], tl.float32)
    for j in tl.static_range(DIM, 0, -1):
        if position_bandwidth is not None and j == 1:
            feature = tl.div_rn((pixel % width).to(tl.float32), position_bandwidth)
        elif position_bandwidth is not None and j == 2:
            feature = tl.div_rn((pixel // width).to(tl.float32), position_bandwidth)
        else:
            plane = image * (DIM - FIRST) + j - 1 - FIRST
            feature = tl.load(planes + plane * num_pixels + pixel, inside, 0.0)
            feature = tl.div_rn(feature, bandwidth)
        scaled = feature * SCALES[j - 1]
        elevated = tl.where((row == j)[:, None], (total - scaled * j)[None, :], elevated)
        total = total + scaled
    elevated = tl.where((row == 0)[:, None], total[None, :], elevated)

    # Round to the nearest point of the lattice and order the axes by what remains.
    nearest = (elevated * (1.0 / (DIM + 1)) + ROUNDER) - ROUNDER  # (ROWS, PIXELS)
    remainder = elevated - nearest * (DIM + 1.0)
    other, axis = remainder[:, None, :], remainder[None, :, :]
    comes_later = (row[:, None] > row[None, :])[:, :, None]
    below = (other < axis) | ((other == axis) & comes_later)  # of each pair, the first is lower
    below &= is_axis[:, :, None]

    # The weight of a corner is the gap between an axis's remainder and the next lower one, taken
    # around the circle.
    remainder *= 1.0 / (DIM + 1)
    highest = tl.max(tl.where(is_axis, remainder, BELOW_ALL), axis=0)
    next_lower = tl.max(tl.where(below, remainder[:, None, :], BELOW_ALL), axis=0)
    is_lowest = next_lower == BELOW_ALL
    weight = tl.where(is_lowest, remainder + (1.0 - highest)[None, :], remainder - next_lower)

    # The corner of an axis is the nearest point less one step along each lower axis.
    unit, step = _key_steps(row, DIM, FIELD)
    last = tl.sum(tl.where((row == DIM)[:, None], nearest, 0.0), axis=0)
    coordinates = nearest - last[None, :]
    limit = (1 << (FIELD - 1)) - 3.0  # a corner and its neighbours lie up to two steps away
    fits = tl.min(((tl.abs(coordinates) <= limit) | ~is_axis).to(tl.int32), axis=0) == 1
    fields = coordinates.to(tl.int64) + (1 << (FIELD - 1))
    key = tl.sum(fields * unit[:, None], axis=0) + (image << (FIELD * DIM))
    key = key[None, :] - tl.sum(tl.where(below, step[:, None, None], 0), axis=0)

    wanted = is_axis & (inside & fits)[None, :]
    slot, is_new, is_lost = _insert(
        table, point_of_slot, key, wanted, capacity, hash_shift, max_probes
    )
    if tl.max((inside & ~fits).to(tl.int32), axis=0) > 0:
        tl.store(counts + 1, 1)
    if is_lost:
        tl.store(counts + 2, 1)
    flat = tl.reshape(is_new.to(tl.int32), [ROWS * PIXELS])
    last = tl.atomic_add(counts, tl.sum(flat, axis=0), sem="relaxed")
    point = last + tl.reshape(tl.cumsum(flat, axis=0), [ROWS, PIXELS])
    tl.store(point_of_slot + slot, point, mask=is_new)
    tl.store(keys + point, key, mask=is_new & (point < room))

    # All coordinates of a lattice point are congruent modulo D+1. A simplex has one corner of
    # each such class; stored by it, a corner that neighbouring pixels share stays in one place.
    rounded = tl.sum(tl.where(is_axis, nearest, 0.0).to(tl.int32), axis=0) % (DIM + 1)
    num_below = tl.sum(below.to(tl.int32), axis=0)
    remainder_class = (rounded[None, :] - num_below + 2 * (DIM + 1)) % (DIM + 1)
    at = (image * (DIM + 1) + remainder_class) * num_pixels + pixel[None, :]
    tl.store(vertices + at, slot.to(tl.int32), mask=is_axis & inside[None, :])
    tl.store(barycentric + at, weight, mask=is_axis & inside[None, :])


@triton.jit
def number_kernel(
    vertices,  # (N, D+1, P) int32
    point_of_slot,  # (capacity,) int32
    num_vertices,
    capacity,
    BLOCK: tl.constexpr,
):
    """Turn slots into the points that they hold.

    Corners of features that are not finite were never written: their slots may be anything.
    """
    vertices += tl.program_id(0).to(tl.int64) * BLOCK
    at = tl.arange(0, BLOCK)
    mask = at < num_vertices - tl.program_id(0).to(tl.int64) * BLOCK
    slot = tl.load(vertices + at, mask, 0) & (capacity - 1)
    tl.store(vertices + at, tl.load(point_of_slot + slot, mask), mask)


@triton.jit
def link_kernel(
    keys,  # (M,) int64
    table,  # (capacity,) int64
    point_of_slot,  # (capacity,) int32
    neighbours,  # (D+1, 2, M) int32: next and previous point along each axis, -1 if none
    num_points,
    capacity,
    hash_shift,
    DIM: tl.constexpr,
    FIELD: tl.constexpr,
    ROWS: tl.constexpr,
    POINTS: tl.constexpr,
):
    """Look up both neighbours of every lattice point along every axis."""
    point = tl.program_id(0).to(tl.int64) * POINTS + tl.arange(0, POINTS)
    row = tl.arange(0, ROWS)
    wanted = (row <= DIM)[:, None] & (point < num_points)[None, :]
    key = tl.load(keys + point, point < num_points, 0)
    _, step = _key_steps(row, DIM, FIELD)
    for side in tl.static_range(2):
        slot, found = _find(
            table, key[None, :] + step[:, None] * (1 - 2 * side), wanted, capacity, hash_shift
        )
        neighbour = tl.load(point_of_slot + slot, found, -1)
        at = (row[:, None].to(tl.int64) * 2 + side) * num_points + point[None, :]
        tl.store(neighbours + at, neighbour, mask=wanted)


@triton.jit
def gather_kernel(
    values,  # (N, K, P) float32, of any strides
    rows,  # (N, P, K) float32; None where the values lie like that
    largest,  # (N, K) int32, zero: bits of the largest magnitude of each image's channel
    num_channels,
    num_pixels,
    image_stride,
    channel_stride,
    pixel_stride,
    PIXELS: tl.constexpr,
    BLOCKS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Put the channels of each pixel side by side and find the largest magnitude of each."""
    image, pixel = _image_and_pixel(tl.program_id(0), num_pixels, PIXELS * BLOCKS, PIXELS)
    values += image * image_stride
    largest += image * num_channels
    pixel = pixel[:, None]
    channel = _channel(CHANNELS)[None, :]
    magnitude = tl.zeros([PIXELS, CHANNELS], tl.int32)
    for _ in range(BLOCKS):
        mask = (pixel < num_pixels) & (channel < num_channels)
        at = channel * channel_stride + pixel.to(tl.int64) * pixel_stride
        value = tl.load(values + at, mask, 0.0)
        if rows is not None:
            row = image * num_pixels + pixel
            tl.store(rows + row * num_channels + channel, value, mask)
        # As integers, the bits of magnitudes are ordered as they are, and those of NaN come last.
        magnitude = tl.maximum(magnitude, value.to(tl.int32, bitcast=True) & 0x7FFFFFFF)
        pixel += PIXELS
    magnitude = tl.max(magnitude, axis=0)[None, :]
    tl.atomic_max(largest + channel, magnitude, channel < num_channels, sem="relaxed")


@triton.jit(do_not_specialize=["width"])
def splat_kernel(
    rows,  # (N, P, K) float32
    vertices,  # (N, D+1, P) int32
    barycentric,  # (N, D+1, P) float32
    largest,  # (N, K) int32
    quanta,  # (M, width) int64, zero
    num_channels,
    num_pixels,
    image_stride,
    row_stride,
    width,
    bits,
    CORNERS: tl.constexpr,
    STRIPS: tl.constexpr,
    LENGTH: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Sum the pixels onto the lattice points, one class of corners in each program.

    It walks along STRIPS strips of LENGTH neighbouring pixels. While they share a lattice point,
    their sum stays in registers; it is added to the point when the next pixel has another. It is
    added as an integer, in steps of a quantum, because integers sum up to the same in any order;
    ``_quantum_exponent`` gives their precision.

    Channels go in eights, which fill memory transactions. On the middle axis, the eights come to
    lie in the registers of a thread, and four strips fill the 32 threads of a warp.
    """
    # The classes of a strip run side by side, to read its values from the cache.
    program, corner = tl.program_id(0) // CORNERS, tl.program_id(0) % CORNERS
    image, strip = _image_and_pixel(program, tl.cdiv(num_pixels, LENGTH), STRIPS, STRIPS)
    corners = (image * CORNERS + corner) * num_pixels
    vertices += corners
    barycentric += corners
    first_channel = tl.program_id(1) * CHANNELS
    rows += image * image_stride + first_channel
    quanta += first_channel
    lane, eight = tl.arange(0, 8)[None, None, :], tl.arange(0, CHANNELS // 8)[None, :, None] * 8
    is_channel = lane + eight < num_channels - first_channel
    largest += image * num_channels + first_channel
    magnitude = tl.load(largest + lane + eight, is_channel, 0)
    quanta_per_one = _power_of_two(-_quantum_exponent(magnitude, bits))

    # Pixels beyond the last repeat it with no weight.
    pixel = tl.minimum(strip * LENGTH, num_pixels - 1)
    current = tl.load(vertices + pixel)[:, None, None]
    current = tl.broadcast_to(current, [STRIPS, 1, 8])
    total = tl.zeros([STRIPS, CHANNELS // 8, 8], tl.float32)
    for offset in range(LENGTH):
        pixel = tl.minimum(strip * LENGTH + offset, num_pixels - 1)
        point = tl.load(vertices + pixel)[:, None, None]
        point = tl.broadcast_to(point, [STRIPS, 1, 8])
        weight = tl.load(barycentric + pixel)
        weight = tl.where(strip * LENGTH + offset < num_pixels, weight, 0.0)[:, None, None]
        row = (pixel.to(tl.int64) * row_stride)[:, None, None]
        value = tl.load(rows + row + lane + eight, is_channel, 0.0)
        leaves = point != current
        _add_quanta(
            quanta + current * width + lane + eight, total * quanta_per_one, leaves & is_channel
        )
        total = tl.where(leaves, 0.0, total) + weight * value
        current = point
    _add_quanta(quanta + current * width + lane + eight, total * quanta_per_one, is_channel)


@triton.jit
def blur_kernel(
    source,  # (1 or 2 orders, M, width) float32, or int64 as the splat leaves them
    target,  # (1 or 2 orders, M, width) float32
    neighbours,  # (D+1, 2, M) int32
    num_points,
    quads,
    source_orders,  # 0 where both orders start from the same points, or 1
    first_axis,  # the axis of either order
    second_axis,
    IS_MEAN: tl.constexpr,  # whether the target is the mean of both orders
    POINTS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Convolve the lattice points with [1/2, 1, 1/2] along one axis; absent points hold zero."""
    width = quads * 4
    order = tl.program_id(2).to(tl.int64)
    point = tl.program_id(0) * POINTS + tl.arange(0, POINTS)
    channel = _channel(CHANNELS)[None, :]
    size = num_points.to(tl.int64) * width
    axis = tl.where(order == 0, first_axis, second_axis)
    first = source + order * source_orders * size
    blurred = _blurred(first, neighbours, axis, point, num_points, width, channel)
    if IS_MEAN:
        second = source + source_orders * size
        other = _blurred(second, neighbours, second_axis, point, num_points, width, channel)
        blurred = 0.5 * (blurred + other)
    mask = (point < num_points)[:, None] & (channel < width)
    tl.store(target + order * size + point[:, None] * width + channel, blurred, mask)


@triton.jit
def slice_kernel(
    points,  # (M, width) float32
    vertices,  # (N, D+1, P) int32
    barycentric,  # (N, D+1, P) float32
    largest,  # (N, K) int32
    filtered,  # (N, K, P) float32, a slice of the channels
    values,  # (N, K, P) float32, of the strides below; or None
    region,  # (N, P) float32, or None
    sums,  # (2, N, K, blocks) float32, of the strides below; or None
    values_image_stride,
    values_channel_stride,
    values_pixel_stride,
    sums_side_stride,
    sums_image_stride,
    sums_channel_stride,
    gain,
    num_channels,
    num_pixels,
    filtered_stride,
    quads,
    bits,
    CORNERS: tl.constexpr,
    PIXELS: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Interpolate the pixels from the lattice points, and turn quanta back into values.

    The ``sums`` over a program's pixels are of the filtered times the values, and the region.
    """
    width = quads * 4
    image, pixel = _image_and_pixel(tl.program_id(0), num_pixels, PIXELS, PIXELS)
    vertices += image * CORNERS * num_pixels
    barycentric += image * CORNERS * num_pixels
    channel = _channel(CHANNELS)[None, :]
    inside = pixel < num_pixels
    total = tl.zeros([PIXELS, CHANNELS], tl.float32)
    for corner in tl.static_range(CORNERS):
        point = tl.load(vertices + corner * num_pixels + pixel, inside, -1)
        weight = tl.load(barycentric + corner * num_pixels + pixel, inside, 0.0)
        total += weight[:, None] * _load_points(points, point, width, channel)
    is_channel = channel < num_channels
    magnitude = tl.load(largest + image * num_channels + channel, is_channel, 0)
    quantum = _power_of_two(_quantum_exponent(magnitude, bits))
    quantum = tl.where(magnitude < INFINITY_BITS, quantum, float("nan"))
    result = total / gain * quantum
    mask = inside[:, None] & is_channel
    filtered += image * filtered_stride
    tl.store(filtered + channel * num_pixels + pixel[:, None], result, mask)
    if sums is not None:
        at = image * values_image_stride + channel * values_channel_stride
        at += (pixel.to(tl.int64) * values_pixel_stride)[:, None]
        association = tl.sum(tl.load(values + at, mask, 0.0) * result, axis=0)[None, :]
        inner = tl.load(region + image * num_pixels + pixel, inside, 0.0)
        volume = tl.sum(inner[:, None] * result, axis=0)[None, :]
        sums += image * sums_image_stride + tl.program_id(0) % tl.cdiv(num_pixels, PIXELS)
        sums += channel.to(tl.int64) * sums_channel_stride
        tl.store(sums, association, is_channel)
        tl.store(sums + sums_side_stride, volume, is_channel)


@triton.jit
def _image_and_pixel(program, num_pixels, SHARE: tl.constexpr, PIXELS: tl.constexpr):
    """The image (int64) of a program and the first PIXELS of the SHARE of pixels that it has.

    Some may lie beyond the image.
    """
    blocks = tl.cdiv(num_pixels, SHARE)
    return (program // blocks).to(tl.int64), program % blocks * SHARE + tl.arange(0, PIXELS)


@triton.jit
def _channel(CHANNELS: tl.constexpr):
    return tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)


@triton.jit
def _key_steps(row, DIM: tl.constexpr, FIELD: tl.constexpr):
    """What one in each coordinate, and a step along each blur axis, add to a key: (ROWS,) each."""
    one = (row < DIM).to(tl.int64)
    unit = one << (tl.minimum(row, DIM - 1) * FIELD).to(tl.int64)
    diagonal = tl.sum(unit, axis=0)  # the last blur axis is (-1, ..., -1)
    return unit, tl.where(row == DIM, -diagonal, unit)


@triton.jit
def _home_slot(key, hash_shift):
    return ((key.to(tl.uint64) * MULTIPLIER) >> hash_shift.to(tl.uint64)).to(tl.int64)


@triton.jit
def _insert(table, point_of_slot, key, wanted, capacity, hash_shift, max_probes):
    """The slots of ``key`` (ROWS, PIXELS), which of them this call filled, and whether it failed.

    Of the threads that race for an empty slot, the one that claims it first, in ``point_of_slot``,
    enters its key; the others look again until the key is there. Which slot a key gets differs
    from run to run, and no result depends on it. (A compare-and-swap would do it at once, but
    Triton has none for some of the threads alone, and most find their key.)
    """
    slot = _home_slot(key, hash_shift)
    is_new = tl.zeros(key.shape, tl.int1)
    searching = wanted
    is_searching = tl.max(searching.to(tl.int32)) > 0
    probes = 0
    while is_searching & (probes < max_probes):
        held = tl.load(table + slot, searching, NEVER)
        vacant = searching & (held == EMPTY)
        if tl.max(vacant.to(tl.int32)) > 0:
            claim = tl.atomic_max(point_of_slot + slot, 0, vacant, sem="relaxed")
            claimed = vacant & (claim == EMPTY)
            tl.atomic_xchg(table + slot, key, claimed, sem="relaxed")
            is_new |= claimed
            searching &= ~claimed
            # Read where the other's key arrives: a plain load may find an old copy.
            vacant &= ~claimed
            held = tl.where(vacant, tl.atomic_or(table + slot, 0, vacant, sem="relaxed"), held)
        searching &= held != key
        slot = tl.where(searching & (held != EMPTY), (slot + 1) & (capacity - 1), slot)
        is_searching = tl.max(searching.to(tl.int32)) > 0
        probes += 1
    return slot, is_new, is_searching


@triton.jit
def _find(table, key, wanted, capacity, hash_shift):
    """The slots of ``key`` (ROWS, POINTS), and which of the keys are there."""
    slot = _home_slot(key, hash_shift)
    found = tl.zeros(key.shape, tl.int1)
    searching = wanted
    while tl.max(searching.to(tl.int32)) > 0:
        held = tl.load(table + slot, searching, EMPTY)
        found |= searching & (held == key)
        searching &= (held != EMPTY) & (held != key)
        slot = tl.where(searching, (slot + 1) & (capacity - 1), slot)
    return slot, found


@triton.jit
def _blurred(points, neighbours, axis, point, num_points, width, channel):
    """Rows (POINTS, CHANNELS) of ``points``, convolved along an axis."""
    neighbours += axis.to(tl.int64) * 2 * num_points
    exists = point < num_points
    after = tl.load(neighbours + point, exists, -1)
    before = tl.load(neighbours + num_points + point, exists, -1)
    point = tl.where(exists, point, -1)
    around = _load_points(points, after, width, channel)
    around += _load_points(points, before, width, channel)
    return _load_points(points, point, width, channel) + 0.5 * around


@triton.jit
def _add_quanta(address, quanta, mask):
    tl.atomic_add(address, quanta.to(tl.int64), mask, sem="relaxed")


@triton.jit
def _load_points(points, point, width, channel):
    """Rows (B, CHANNELS) of ``points``; zero where ``point`` (B,) is negative."""
    at = point[:, None] * width + channel
    return tl.load(points + at, (point >= 0)[:, None] & (channel < width), 0).to(tl.float32)


@triton.jit
def _quantum_exponent(magnitude, bits):
    """The power of two in whose multiples the values of a channel are summed.

    A value as large as the channel's largest ``magnitude`` (its bits) has ``bits`` bits: so many
    that the sum over all pixels stays below 2^62. The limit keeps the quantum and its inverse
    within float32.
    """
    exponent = (magnitude >> 23) - 126  # the magnitude is below 2^exponent
    return tl.maximum(exponent - bits, -126)


@triton.jit
def _power_of_two(exponent):
    """2^exponent (float32) of integers in -126..127, which ``exp2`` need not hit exactly."""
    return ((exponent + 127) << 23).to(tl.float32, bitcast=True)
