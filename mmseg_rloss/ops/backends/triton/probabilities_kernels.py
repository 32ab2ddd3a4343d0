"""The kernels of ``triton/probabilities.py``: what runs on the GPU.

Tiles are (CHANNELS, PIXELS). Sizes are not specialised, so that no thread takes several pixels of
a tile at once: then all channels of a pixel are in one thread, and sums over them cost nothing.
Offsets of pixels near each other are said to be contiguous (``max_contiguous``), or else threads
might run along the channels; they are not known to be aligned, so nothing is read in wider words.
Loops over taps are not unrolled, which would take more registers than there are.

The kernels for chunks of channels put the pixels that one is interpolated from, or to, between:
(CHANNELS, 4 or 1, PIXELS).
"""

from __future__ import annotations

import triton
import triton.language as tl

BELOW_ALL = tl.constexpr(float("-inf"))
SIZES = [
    *("num_classes", "height", "width", "scaled_height", "scaled_width"),
    *("logits_channel_stride", "logits_pixel_stride"),
    *("image_stride", "channel_stride", "pixel_stride"),
]


@triton.jit(do_not_specialize=SIZES[:7])
def forward_kernel(
    logits,  # (N, K, H, W), with the strides below
    region,  # (N, h, w) float32
    probabilities,  # (N, h, w, C) float32
    num_classes,
    height,
    width,
    scaled_height,
    scaled_width,
    ratio,  # of the sizes: 1 or more
    logits_channel_stride,
    logits_pixel_stride,
    TAPS: tl.constexpr,  # pixels that one is interpolated from: 1 where the sizes are the same
    IS_BINARY: tl.constexpr,
    CHANNELS: tl.constexpr,
    PIXELS: tl.constexpr,
):
    """Softmax, bilinear interpolation and the product with the region, all channels at once."""
    plane, num_pixels = height * width, scaled_height * scaled_width
    image, pixel, inside = _image_and_pixel(num_pixels, PIXELS)
    y, x = pixel // scaled_width, pixel % scaled_width
    logits += image * (1 if IS_BINARY else num_classes) * plane
    inner = tl.load(region + image * num_pixels + pixel, inside, 0.0)
    channel = tl.arange(0, CHANNELS)[:, None]
    total = tl.zeros([CHANNELS, PIXELS], tl.float32)
    for tap in range(TAPS):
        at, weight = _tap(y, x, height, width, ratio, logits_pixel_stride, tap, TAPS)
        is_there = inside[None, :] & (channel < num_classes)
        value = _load_logits(
            logits, channel, at[None, :], logits_channel_stride, is_there, IS_BINARY
        )
        total += _probability(value, IS_BINARY) * (weight * inner)[None, :]
    probabilities += image * num_pixels * num_classes
    is_there = inside[None, :] & (channel < num_classes)
    tl.store(probabilities + (pixel[None, :] * num_classes + channel), total, is_there)


@triton.jit(do_not_specialize=SIZES)
def backward_kernel(
    grad,  # (N, C, h, w) float32, with the strides below
    factors,  # (N, C) float32 of the gradient's channels, or None
    logits,  # (N, K, H, W), with the strides below
    region,  # (N, h, w) float32
    result,  # (N, K, H, W): the gradient of the logits, with the same strides
    num_classes,
    height,
    width,
    scaled_height,
    scaled_width,
    ratio,
    image_stride,
    channel_stride,
    pixel_stride,
    logits_channel_stride,
    logits_pixel_stride,
    IS_SCALED: tl.constexpr,
    USERS: tl.constexpr,  # pixels of the scaled image that may be interpolated from one
    IS_BINARY: tl.constexpr,
    CHANNELS: tl.constexpr,
    PIXELS: tl.constexpr,
):
    """The transpose of the forward, all channels at once."""
    plane, num_pixels = height * width, scaled_height * scaled_width
    image, pixel, inside = _image_and_pixel(plane, PIXELS)
    y, x = pixel // width, pixel % width
    grad += image * image_stride
    region += image * num_pixels
    logits += image * (1 if IS_BINARY else num_classes) * plane
    result += image * (1 if IS_BINARY else num_classes) * plane
    channel = tl.arange(0, CHANNELS)[:, None]
    is_channel = channel < num_classes
    spread = tl.zeros([CHANNELS, PIXELS], tl.float32)  # the gradient of the probabilities
    for user in range(USERS):
        at, weight = _user(
            y, x, height, width, scaled_height, scaled_width, ratio, user, IS_SCALED, inside
        )
        is_user = weight > 0
        weight *= tl.load(region + at, is_user, 0.0)
        at = tl.max_contiguous(at * pixel_stride, PIXELS)[None, :] + channel * channel_stride
        spread += weight[None, :] * tl.load(grad + at, is_user[None, :] & is_channel, 0.0)
    if factors is not None:
        factor = tl.load(factors + image * num_classes + channel, is_channel, 0.0)
        spread *= factor
    is_there = inside[None, :] & is_channel
    pixel = tl.max_contiguous(pixel * logits_pixel_stride, PIXELS)
    value = _load_logits(
        logits, channel, pixel[None, :], logits_channel_stride, is_there, IS_BINARY
    )
    probability = _probability(value, IS_BINARY)
    if IS_BINARY:
        first = tl.sum(tl.where(channel == 0, probability, 0.0), axis=0)
        second = tl.sum(tl.where(channel == 1, probability, 0.0), axis=0)
        difference = tl.sum(tl.where(channel == 1, spread, -spread), axis=0)
        tl.store(result + pixel, first * second * difference, inside)
    else:
        mean = tl.sum(tl.where(is_channel, probability * spread, 0.0), axis=0)
        slope = probability * (spread - mean[None, :])
        tl.store(result + (channel * logits_channel_stride + pixel[None, :]), slope, is_there)


@triton.jit(do_not_specialize=SIZES[:7])
def forward_chunks_kernel(
    logits,
    region,
    probabilities,
    num_classes,
    height,
    width,
    scaled_height,
    scaled_width,
    ratio,
    logits_channel_stride,
    logits_pixel_stride,
    TAPS: tl.constexpr,
    IS_BINARY: tl.constexpr,  # never
    CHANNELS: tl.constexpr,
    PIXELS: tl.constexpr,
):
    """As ``forward_kernel``, for more channels than a thread can hold: it reads them twice."""
    plane, num_pixels = height * width, scaled_height * scaled_width
    image, pixel, inside = _image_and_pixel(num_pixels, PIXELS)
    y, x = (pixel // scaled_width)[None, :], (pixel % scaled_width)[None, :]
    logits += image * num_classes * plane
    taps = tl.arange(0, TAPS)[:, None]
    at, weight = _tap(y, x, height, width, ratio, logits_pixel_stride, taps, TAPS)
    high = tl.full([TAPS, PIXELS], BELOW_ALL, tl.float32)
    total = tl.zeros([TAPS, PIXELS], tl.float32)
    for first in range(0, num_classes, CHANNELS):
        channel = first + tl.arange(0, CHANNELS)[:, None, None]
        is_there = inside[None, None, :] & (channel < num_classes)
        value = _load_logits(
            logits, channel, at[None, :, :], logits_channel_stride, is_there, False
        )
        high, fading = _raise(high, value)
        total = total * fading + tl.sum(_exponential(value, high), axis=0)
    weight *= tl.load(region + image * num_pixels + pixel, inside, 0.0)[None, :] / total
    probabilities += image * num_pixels * num_classes
    for first in range(0, num_classes, CHANNELS):
        channel = first + tl.arange(0, CHANNELS)[:, None, None]
        is_there = inside[None, None, :] & (channel < num_classes)
        value = _load_logits(
            logits, channel, at[None, :, :], logits_channel_stride, is_there, False
        )
        interpolated = tl.sum(_exponential(value, high) * weight[None, :, :], axis=1)
        channel = first + tl.arange(0, CHANNELS)[:, None]
        is_there = inside[None, :] & (channel < num_classes)
        at_row = pixel[None, :] * num_classes + channel
        tl.store(probabilities + at_row, interpolated, is_there)


@triton.jit(do_not_specialize=SIZES)
def backward_chunks_kernel(
    grad,
    factors,
    logits,
    region,
    result,
    num_classes,
    height,
    width,
    scaled_height,
    scaled_width,
    ratio,
    image_stride,
    channel_stride,
    pixel_stride,
    logits_channel_stride,
    logits_pixel_stride,
    IS_SCALED: tl.constexpr,
    USERS: tl.constexpr,
    IS_BINARY: tl.constexpr,  # never
    CHANNELS: tl.constexpr,
    PIXELS: tl.constexpr,
):
    """As ``backward_kernel``, for more channels than a thread can hold: it reads them twice."""
    plane, num_pixels = height * width, scaled_height * scaled_width
    image, pixel, inside = _image_and_pixel(plane, PIXELS)
    y, x = (pixel // width)[None, :], (pixel % width)[None, :]
    grad += image * image_stride
    region += image * num_pixels
    logits += image * num_classes * plane
    result += image * num_classes * plane
    user = tl.arange(0, USERS)[:, None]
    at, weight = _user(
        y, x, height, width, scaled_height, scaled_width, ratio, user, IS_SCALED, inside[None, :]
    )
    is_user = weight > 0
    weight *= tl.load(region + at, is_user, 0.0)
    at = tl.max_contiguous(at * pixel_stride, [1, PIXELS])
    pixel = tl.max_contiguous(pixel * logits_pixel_stride, PIXELS)
    high = tl.full([PIXELS], BELOW_ALL, tl.float32)
    total = tl.zeros([PIXELS], tl.float32)
    mean = tl.zeros([PIXELS], tl.float32)  # of the gradients, times the total
    for first in range(0, num_classes, CHANNELS):
        channel = first + tl.arange(0, CHANNELS)[:, None]
        is_there = inside[None, :] & (channel < num_classes)
        value = _load_logits(
            logits, channel, pixel[None, :], logits_channel_stride, is_there, False
        )
        spread = _spread(
            *(grad, factors, image, at, weight, is_user, first, num_classes, channel_stride),
            CHANNELS,
        )
        high, fading = _raise(high, value)
        exponential = _exponential(value, high)
        total = total * fading + tl.sum(exponential, axis=0)
        mean = mean * fading + tl.sum(exponential * spread, axis=0)
    mean /= total
    for first in range(0, num_classes, CHANNELS):
        channel = first + tl.arange(0, CHANNELS)[:, None]
        is_there = inside[None, :] & (channel < num_classes)
        value = _load_logits(
            logits, channel, pixel[None, :], logits_channel_stride, is_there, False
        )
        spread = _spread(
            *(grad, factors, image, at, weight, is_user, first, num_classes, channel_stride),
            CHANNELS,
        )
        slope = _exponential(value, high) / total[None, :] * (spread - mean[None, :])
        tl.store(result + (channel * logits_channel_stride + pixel[None, :]), slope, is_there)


@triton.jit
def _image_and_pixel(num_pixels, PIXELS: tl.constexpr):
    """The image (int64) and the pixels (PIXELS,) of this program, and which lie inside."""
    blocks = tl.cdiv(num_pixels, PIXELS)
    pixel = tl.program_id(0) % blocks * PIXELS + tl.arange(0, PIXELS)
    return (tl.program_id(0) // blocks).to(tl.int64), pixel, pixel < num_pixels


@triton.jit
def _source(place, ratio):
    """Where a row or column of the scaled image lies in the full one."""
    return tl.maximum(ratio * (place.to(tl.float32) + 0.5) - 0.5, 0.0)


@triton.jit
def _tap(y, x, height, width, ratio, pixel_stride, tap, TAPS: tl.constexpr):
    """One of the four pixels that y, x of the scaled image comes from, and its weight."""
    weight = tl.full(x.shape, 1.0, tl.float32)
    if TAPS > 1:
        y, weight_y = _tap_of_axis(y, height, ratio, tap // 2)
        x, weight_x = _tap_of_axis(x, width, ratio, tap % 2)
        weight = weight_y * weight_x
    at = (y * width + x) * pixel_stride
    if len(at.shape) == 1:
        at = tl.max_contiguous(at, [at.shape[0]])
    else:
        at = tl.max_contiguous(at, [1, at.shape[1]])
    return at, weight


@triton.jit
def _tap_of_axis(place, size, ratio, second):
    source = _source(place, ratio)
    before = tl.minimum(source.to(tl.int32), size - 1)
    weight = tl.abs(1.0 - second - (source - before))
    return tl.minimum(before + second, size - 1), weight


@triton.jit
def _user(
    y, x, height, width, scaled_height, scaled_width, ratio, user, IS_SCALED: tl.constexpr, inside
):
    """One of the four pixels of the scaled image that may use y, x, and the weight of that."""
    weight = tl.full(x.shape, 1.0, tl.float32)
    if IS_SCALED:
        y, weight_y = _user_of_axis(y, height, scaled_height, ratio, user // 2)
        x, weight_x = _user_of_axis(x, width, scaled_width, ratio, user % 2)
        weight = weight_y * weight_x
    return y * scaled_width + x, tl.where(inside, weight, 0.0)


@triton.jit
def _user_of_axis(place, size, scaled_size, ratio, second):
    # The first of the scaled pixels whose source is above place - 1: rounding may put the guess
    # one before.
    guess = tl.floor((place - 0.5) / ratio - 0.5)
    source = tl.floor(ratio * (guess + 0.5) - 0.5)
    first = guess.to(tl.int32) + (source + 1 < place).to(tl.int32)
    user = first + second
    source = _source(user, ratio)
    before = tl.minimum(source.to(tl.int32), size - 1)
    after = tl.minimum(before + 1, size - 1)
    share = source - before
    weight = tl.where(before == place, 1.0 - share, 0.0) + tl.where(after == place, share, 0.0)
    return user, tl.where((user >= 0) & (user < scaled_size), weight, 0.0)


@triton.jit
def _load_logits(logits, channel, at, channel_stride, is_there, IS_BINARY: tl.constexpr):
    """Logits as float32. A single one is that of the second class, and of the first, negated."""
    if IS_BINARY:
        value = tl.load(logits + at + channel * 0, is_there, BELOW_ALL).to(tl.float32)
        return tl.where(channel == 0, -value, value)
    return tl.load(logits + (at + channel * channel_stride), is_there, BELOW_ALL).to(tl.float32)


@triton.jit
def _probability(value, IS_BINARY: tl.constexpr):
    """Softmax over the first axis."""
    if IS_BINARY:
        return 1.0 / (1.0 + tl.exp(-value))
    exponential = tl.exp(value - tl.max(value, axis=0)[None, :])
    return exponential / tl.sum(exponential, axis=0)[None, :]


@triton.jit
def _raise(high, value):
    """The largest value so far, with those of another chunk, and what sums so far shrink by."""
    raised = tl.maximum(high, tl.max(value, axis=0))
    return raised, tl.exp(high - tl.where(raised == BELOW_ALL, 0.0, raised))


@triton.jit
def _exponential(value, high):
    return tl.exp(value - tl.expand_dims(tl.where(high == BELOW_ALL, 0.0, high), 0))


@triton.jit
def _spread(
    grad,
    factors,
    image,
    at,
    weight,
    is_user,
    first,
    num_classes,
    channel_stride,
    CHANNELS: tl.constexpr,
):
    """The gradient of a chunk of the probabilities (CHANNELS, PIXELS)."""
    channel = first + tl.arange(0, CHANNELS)[:, None, None]
    is_there = is_user[None, :, :] & (channel < num_classes)
    value = tl.load(grad + (at[None, :, :] + channel * channel_stride), is_there, 0.0)
    spread = tl.sum(value * weight[None, :, :], axis=1)
    if factors is not None:
        channel = first + tl.arange(0, CHANNELS)[:, None]
        spread *= tl.load(factors + image * num_classes + channel, channel < num_classes, 0.0)
    return spread
