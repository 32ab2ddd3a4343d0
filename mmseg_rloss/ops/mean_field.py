"""Mean-field inference in the fully connected CRF: the refinement of a prediction at test time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from . import backends
from .backends.reference.mean_field import Kernel
from .checks import check_count, check_is_tensor, check_not_negative, check_positive
from .lattice import Lattice
from .ranges import GREY_LEVELS, RangeCheck, judge_probabilities

# Of a class in the unary terms, so that no prediction is certain; as in pydensecrf.
MIN_PROBABILITY = 1e-5


@torch.no_grad()
def dense_crf_inference(
    image: Tensor,
    probabilities: Tensor,
    iterations: int = 10,
    *,
    bilateral_weight: float = 10.0,
    bilateral_sigma_xy: float = 80.0,
    bilateral_sigma_rgb: float = 13.0,
    gaussian_weight: float = 3.0,
    gaussian_sigma_xy: float = 3.0,
    value_range: Sequence[float] | None = GREY_LEVELS,
) -> Tensor:
    """Refine class probabilities by mean-field inference in the fully connected CRF.

    Krahenbuhl and Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge
    Potentials", NeurIPS 2011, section 3, with the Potts model: a pixel is drawn to the classes of
    those that are close and of like colour (bilateral kernel, appearance) and of those that are
    very close (Gaussian kernel, smoothness). From ``Q = softmax(-U)`` on, an iteration is

    ``Q = softmax(-U + sum_m weight_m D_m^-1/2 K_m D_m^-1/2 Q)``,  ``U = -log p``,

    where K_m holds the affinities ``exp(-|f_i - f_j|^2 / 2)`` and D_m their sums by row. Where the
    authors' later code and pydensecrf, which wraps it, differ from the paper, this agrees with
    them: the normalisation is symmetric instead of after filtering, a pixel counts among its own
    neighbours, and the lattice is blurred in one order of its axes. The defaults are those of
    pydensecrf's documentation.

    Args:
        image: (N, C, H, W) with values in ``value_range``, any number of channels, any real type,
            any device.
        probabilities: (N, K, H, W) of floating point in [0, 1], of two classes at least. Half
            precision is computed in float32. Those below 1e-5 count as 1e-5.
        iterations: Number of mean-field iterations. 0 returns the probabilities normalised.
        bilateral_weight: Weight of the bilateral kernel; 0 leaves it out.
        bilateral_sigma_xy: Its bandwidth of the position, in pixels.
        bilateral_sigma_rgb: Its bandwidth of every colour channel, in grey levels (0-255).
        gaussian_weight: Weight of the Gaussian kernel of position alone; 0 leaves it out.
        gaussian_sigma_xy: Its bandwidth, in pixels.
        value_range: As in :func:`~mmseg_rloss.ops.densecrf_loss`.

    Returns:
        (N, K, H, W) refined probabilities, of the type and on the device of ``probabilities``. They
        carry no gradient.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: Shapes do not match, or a value is out of its range.
    """
    _check_tensors(image, probabilities)
    iterations = check_count("iterations", iterations)
    bilateral_weight = check_not_negative("bilateral_weight", bilateral_weight)
    bilateral_sigma_xy = check_positive("bilateral_sigma_xy", bilateral_sigma_xy)
    bilateral_sigma_rgb = check_positive("bilateral_sigma_rgb", bilateral_sigma_rgb)
    gaussian_weight = check_not_negative("gaussian_weight", gaussian_weight)
    gaussian_sigma_xy = check_positive("gaussian_sigma_xy", gaussian_sigma_xy)
    check_range = RangeCheck(value_range)
    if len(probabilities) == 0:
        return probabilities.clone()

    image = image.detach().to(probabilities.device)
    check_range(image, torch.ones_like(image[:, 0]))
    check_range.raise_pending(wait=True)
    compute_type = torch.promote_types(probabilities.dtype, torch.float32)
    log_probabilities = probabilities.to(compute_type).clamp(MIN_PROBABILITY, 1).log_()  # -U

    kernels = []
    if bilateral_weight > 0:
        sigmas = bilateral_sigma_rgb, bilateral_sigma_xy
        lattice = Lattice.from_image(image.to(compute_type), *sigmas)
        kernels.append(Kernel(bilateral_weight, lattice.of_backend, _filter_by(lattice)))
    if gaussian_weight > 0:
        lattice = _spatial_lattice(log_probabilities, gaussian_sigma_xy)
        kernels.append(Kernel(gaussian_weight, lattice.of_backend, _filter_of_position(lattice)))
    backend = backends.select(log_probabilities.device).mean_field
    return backend.infer(log_probabilities, kernels, iterations).to(probabilities.dtype)


def _filter_by(lattice: Lattice) -> Callable[[Tensor], Tensor]:
    return lambda values: lattice.filter(values, symmetric=False)


def _spatial_lattice(like: Tensor, sigma_xy: float) -> Lattice:
    """The lattice of the positions in (N, K, H, W): one, the same for all images."""
    height, width = like.shape[-2:]
    x = torch.arange(width, device=like.device, dtype=like.dtype) / sigma_xy
    y = torch.arange(height, device=like.device, dtype=like.dtype) / sigma_xy
    features = torch.stack((x.repeat(height), y.repeat_interleave(width)))  # (2, H*W)
    return Lattice.from_features(features[None])


def _filter_of_position(lattice: Lattice) -> Callable[[Tensor], Tensor]:
    """Filter (N, K, H, W) as the channels of one image."""

    def filter_all(values: Tensor) -> Tensor:
        flat = values.reshape(1, -1, values.shape[2] * values.shape[3])  # (1, N*K, H*W)
        return lattice.filter(flat, symmetric=False).view(values.shape)

    return filter_all


def _check_tensors(image: Tensor, probabilities: Tensor) -> None:
    arguments = {
        "image": (image, "(N, C, H, W)"),
        "probabilities": (probabilities, "(N, K, H, W)"),
    }
    for name, (tensor, axes) in arguments.items():
        check_is_tensor(name, tensor)
        if tensor.ndim != 4 or 0 in tensor.shape[1:]:
            raise ValueError(
                f"{name} must be {axes} with a channel and a pixel at least, but its shape is "
                f"{tuple(tensor.shape)}"
            )
    if len(image) != len(probabilities) or image.shape[2:] != probabilities.shape[2:]:
        raise ValueError(
            f"image {tuple(image.shape)} and probabilities {tuple(probabilities.shape)} must agree "
            "in N, H and W: resize the probabilities to the image's size"
        )
    if image.is_complex():
        raise TypeError(f"image must be real, not {image.dtype}")
    if not probabilities.is_floating_point():
        raise TypeError(
            f"probabilities must be of floating point, not {probabilities.dtype}: pass "
            "logits.softmax(dim=1)"
        )
    if probabilities.shape[1] == 1:
        raise ValueError(
            "probabilities must be of two classes at least: pass those of background and "
            "foreground, torch.cat([1 - p, p], dim=1)"
        )
    if probabilities.numel() > 0:
        least, most = (bound.item() for bound in torch.aminmax(probabilities))
        judge_probabilities("probabilities", least, most)
