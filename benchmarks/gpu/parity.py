"""Whether a GPU computes what the CPU does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mmseg_rloss.ops import Lattice, Scene
from mmseg_rloss.ops.profiling import available_backends, use_backend

from .setting import PUBLISHED, TINY, draw_images

VECTORS = Path(__file__).resolve().parents[2] / "tests" / "data"  # of the original
TOLERANCE = 1e-5  # of the norm, between sums of float32 in different orders


def parity(device: torch.device) -> dict[str, float]:
    """Relative differences between ``device`` and the CPU."""
    on_gpu = device.type == "cuda"
    paths = sorted(VECTORS.glob("*.npz"))
    errors = {f"golden {path.stem}": golden_error(path, device) for path in paths}
    # Without a GPU, the kernels run in the interpreter, on a few pixels.
    backend = "triton" if "triton" in available_backends() else "reference"
    num_images, num_pixels = (2, 5000) if on_gpu else (1, 10)
    for dim, num_channels in enumerate((1, 2, 3, 4, 21, 33, 100, 150), start=1):
        num_channels = num_channels if on_gpu else dim
        features = torch.randn(num_images, dim, num_pixels) * 2
        values = torch.randn(num_images, num_channels, num_pixels)
        with use_backend(backend):
            result = Lattice.from_features(features.to(device)).filter(values.to(device)).cpu()
        expected = Lattice.from_features(features).filter(values)
        errors[f"filter, {dim} dimensions, {num_channels} channels"] = relative(result, expected)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        errors[f"loss and gradient from {dtype} logits"] = loss_error(dtype, device)
    if on_gpu:
        errors["one run against another, 2048x2048"] = repeated_error(device)
    return errors


def golden_error(path: Path, device: torch.device) -> float:
    """The original's own result: the gradient of its layer, of one order of the blur."""
    arrays = np.load(path)
    image, segmentation, region, expected = (
        torch.from_numpy(arrays[name]).to(device)
        for name in ("image", "segmentation", "roi", "grad")
    )
    scale, weight = arrays["scale_factor"].item(), arrays["weight"].item()
    segmentation.requires_grad_()
    scene = Scene(image, region)
    lattice = scene.lattice(arrays["sigma_rgb"].item(), arrays["sigma_xy"].item(), scale)
    scaled = segmentation
    if scale != 1:
        scaled = F.interpolate(segmentation, scale_factor=scale, mode="bilinear")
    scaled = scaled * scene.region(scale, segmentation).unsqueeze(1)
    filtered = lattice.filter(scaled.detach(), symmetric=False)
    energy = -2 * weight / len(image) * (scaled * filtered).sum()
    (gradient,) = torch.autograd.grad(energy, segmentation)
    return relative(gradient, expected)


def loss_error(dtype: torch.dtype, device: torch.device) -> float:
    setting = PUBLISHED._replace(batch=2, size=65) if device.type == "cuda" else TINY
    image = draw_images(setting)
    logits = torch.randn(setting.batch, setting.classes, setting.size, setting.size).to(dtype)

    def compute(at: torch.device) -> tuple[Tensor, Tensor]:
        leaf = logits.to(at).requires_grad_()
        scene = Scene(image.to(at), torch.ones(len(image), *image.shape[2:], device=at))
        loss = setting.layer().from_logits(scene, leaf)
        return loss.detach().cpu(), torch.autograd.grad(loss, leaf)[0].float().cpu()

    pairs = zip(compute(device), compute(torch.device("cpu")), strict=True)
    errors = [relative(result, expected) for result, expected in pairs]
    # A gradient next to the middle of two numbers of the shorter type may be rounded either way.
    return max(errors[0], errors[1] if dtype == torch.float32 else errors[1] * 1e-3)


def repeated_error(device: torch.device) -> float:
    setting = PUBLISHED._replace(batch=1, size=2048)
    image, values = draw_images(setting).to(device), torch.rand(1, 5, 2048, 2048, device=device)
    first, second = (Lattice.from_image(image, 15.0, 40.0).filter(values) for _ in range(2))
    return 0.0 if torch.equal(first, second) else max(relative(first, second), 1.0)


def relative(result: Tensor, expected: Tensor) -> float:
    result, expected = result.double(), expected.double()
    return ((result - expected).norm() / expected.norm()).item()
