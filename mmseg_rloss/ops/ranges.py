"""Whether maps have values in the ranges that the energies are meant for."""

# Not from __future__ import annotations: PyTorch 2.4 cannot read the ops' types from strings.
import functools
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .checks import check_finite

GREY_LEVELS = (0.0, 255.0)

# Grey levels that are not whole and never above this: images of 0-1, of -1 to 1, or z-scored.
_DARKEST = 16.0
# Of a grey level, after normalising in float32 and back; of a softmax in half precision.
_ROUNDING_ERROR = 0.01
# Of an image with more values, every fourth pixel is enough.
_SAMPLED = 1 << 16

_WRONG_IMAGE = """\
{name} has values from {least:.4g} to {most:.4g},
but sigma_rgb counts grey levels from {low:g} to {high:g}.
{advice} If they have another range from the start (16 bits, reflectances), name it:
value_range=(0, 65535), or value_range=None for any, and give sigma_rgb in the same units."""

_ADVICE = "Pass images as they are loaded (uint8), neither divided by 255 nor normalised."


def check_value_range(value_range: Sequence[float] | None) -> tuple[float, float] | None:
    """The least and the largest value of an image as floats; None, which stands for any, as it is.

    Raises:
        TypeError: It is not a pair of numbers.
        ValueError: It does not rise, or is not finite.
    """
    if value_range is None:
        return None
    if not isinstance(value_range, Sequence) or isinstance(value_range, str):
        raise TypeError(f"value_range must be (low, high) or None, not {value_range!r}")
    if len(value_range) != 2:
        raise ValueError(f"value_range must be (low, high) or None, not {value_range!r}")
    low = check_finite("value_range[0]", value_range[0])
    high = check_finite("value_range[1]", value_range[1])
    if not low < high:
        raise ValueError(f"value_range must rise, but is {tuple(value_range)}")
    return low, high


class RangeCheck:
    """Refuses images, regions and probabilities of another range than the energies are meant for.

    An image may leave the range by no more than its width, which is room for augmentations. With
    0-255, small values that are not whole are refused, too: dark images have whole grey levels,
    images of 0-1 and normalised ones do not. Pixels outside the region do not count; its weights
    are from 0 to 1.

    On a GPU nothing waits for the device: a batch that is wrong raises when a later one comes.

    Args:
        value_range: The least and the largest value of the images; None allows any.
        image_name: How a message names the images.
        probabilities_name: How it names the probabilities.
        advice: What to do about images that are not as they were loaded.

    Raises:
        TypeError: ``value_range`` is not a pair of numbers.
        ValueError: It does not rise.
    """

    def __init__(
        self,
        value_range: Sequence[float] | None = GREY_LEVELS,
        *,
        image_name: str = "image",
        probabilities_name: str = "segmentation",
        advice: str = _ADVICE,
    ) -> None:
        self._range = check_value_range(value_range)
        self._image_name = image_name
        self._probabilities_name = probabilities_name
        self._advice = advice
        self._pending: deque[tuple[Tensor, torch.cuda.Event]] = deque()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pending": deque()}  # an event can be neither copied nor saved

    def __call__(self, image: Tensor, region: Tensor, probabilities: Tensor | None = None) -> None:
        """Check images (N, C, h, w), their regions (N, h, w) and, if given, probabilities.

        Raises:
            ValueError: With the remedy; on a GPU, it is about a batch before.
        """
        self.raise_pending(wait=False)
        if 0 in (image.numel(), region.numel()):
            return
        extremes = _extremes(image, region, probabilities)
        if not extremes.is_cuda:
            return self._judge(extremes.tolist())
        on_host = torch.empty(extremes.shape, dtype=extremes.dtype, pin_memory=True)
        on_host.copy_(extremes, non_blocking=True)
        ready = torch.cuda.Event()
        ready.record()
        self._pending.append((on_host, ready))

    def raise_pending(self, *, wait: bool) -> None:
        """Raise for what was wrong with earlier batches, if nothing has been raised yet.

        Args:
            wait: Whether to wait for a GPU that has not looked at them all.

        Raises:
            ValueError: With the remedy.
        """
        while self._pending:
            extremes, ready = self._pending[0]
            if wait:
                ready.synchronize()
            elif not ready.query():
                return
            self._pending.popleft()
            self._judge(extremes.tolist())

    def _judge(self, extremes: list[float]) -> None:
        lightest, heaviest, least, most, fraction, *probabilities = extremes
        # NaN is in no range, either.
        if not (lightest >= -_ROUNDING_ERROR and heaviest <= 1 + _ROUNDING_ERROR):
            raise ValueError(
                "region_of_interest must be 1 on the pixels that count and 0 elsewhere (fractions "
                f"weigh them), but has values from {lightest:.4g} to {heaviest:.4g}: pass "
                "region > 0, or divide a mask of 0 and 255 by 255"
            )
        if heaviest > 0 and self._range is not None:
            self._judge_image(self._range, least, most, fraction)
        if probabilities:
            judge_probabilities(f"the probabilities in {self._probabilities_name}", *probabilities)

    def _judge_image(
        self, value_range: tuple[float, float], least: float, most: float, fraction: float
    ) -> None:
        if least > most:
            return  # none of the pixels looked at counts
        low, high = value_range
        span = high - low
        outside = not (least >= low - span and most <= high + span)
        dark = value_range == GREY_LEVELS and most <= _DARKEST and fraction > _ROUNDING_ERROR
        if outside or dark:
            bounds = dict(least=least, most=most, low=low, high=high)
            raise ValueError(
                _WRONG_IMAGE.format(name=self._image_name, advice=self._advice, **bounds)
            )


def judge_probabilities(name: str, least: float, most: float) -> None:
    """Raise unless what ranges from ``least`` to ``most`` can be probabilities."""
    if not (least >= -_ROUNDING_ERROR and most <= 1 + _ROUNDING_ERROR):  # NaN is not, either
        raise ValueError(
            f"{name} must be in [0, 1], but range from {least:.4g} to {most:.4g}: pass "
            "logits.softmax(dim=1)"
        )


def _extremes(image: Tensor, region: Tensor, probabilities: Tensor | None) -> Tensor:
    """The least and the largest of region, image and probabilities, on the maps' device.

    After those of the image comes the largest distance of its values from whole numbers, if it is
    dark. Otherwise it is not needed, but on a GPU, finding that out would mean waiting.
    """
    extremes = [*torch.aminmax(region)]
    if image.numel() > _SAMPLED:
        image, region = image[..., ::2, ::2], region[..., ::2, ::2]
    inside = region.unsqueeze(1) > 0
    most = torch.where(inside, image, -torch.inf).amax()
    extremes += [torch.where(inside, image, torch.inf).amin(), most]
    if most.is_cuda or most <= _DARKEST:
        extremes.append(torch.where(inside, (image - image.round()).abs(), 0).amax())
    else:
        extremes.append(torch.zeros_like(most))
    if probabilities is not None and probabilities.numel() > 0:
        extremes += torch.aminmax(probabilities)
    return torch.stack([extreme.float() for extreme in extremes])


# As an op, it is part of compiled and exported graphs. -------------------------------------------

_UNSAFE: Any = (
    {"tags": (torch.Tag.cudagraph_unsafe,)} if hasattr(torch.Tag, "cudagraph_unsafe") else {}
)


def checked_zero(
    image: Tensor,
    region: Tensor,
    probabilities: Tensor,
    value_range: tuple[float, float] | None,
    image_name: str,
    probabilities_name: str,
) -> Tensor:
    """A zero () of the type of ``probabilities``, once the maps have passed a RangeCheck.

    Add it to what is computed from them: a graph drops what it does not use.
    """
    low, high = value_range or (None, None)
    names = image_name, probabilities_name
    return _check_op(image, region, probabilities.detach(), low, high, *names)


@torch.library.custom_op("mmseg_rloss::check_ranges", mutates_args=(), **_UNSAFE)
def _check_op(
    image: Tensor,
    region: Tensor,
    probabilities: Tensor,
    low: float | None,
    high: float | None,
    image_name: str,
    probabilities_name: str,
) -> Tensor:
    value_range = None if low is None or high is None else (low, high)
    check = shared_range_check(image.device, value_range, image_name, probabilities_name)
    check(image, region, probabilities)
    return probabilities.new_zeros(())


@_check_op.register_fake
def _(
    image: Tensor,
    region: Tensor,
    probabilities: Tensor,
    low: float | None,
    high: float | None,
    image_name: str,
    probabilities_name: str,
) -> Tensor:
    return probabilities.new_zeros(())


@functools.cache
def shared_range_check(
    device: torch.device,
    value_range: tuple[float, float] | None,
    image_name: str = "image",
    probabilities_name: str = "segmentation",
) -> RangeCheck:
    """A check of each kind for each device: what it has found, its next call raises."""
    return RangeCheck(value_range, image_name=image_name, probabilities_name=probabilities_name)
