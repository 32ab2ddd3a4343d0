"""The images on which the benchmarks on the CPU filter."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

MAX_IMAGES = 4


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which images, how often, and where to write."""
    parser.add_argument("--data", type=Path, help="folder of images; a drawn one by default")
    parser.add_argument("--repeats", type=int, default=30, help="of every measurement (30)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to it")


def load_images(folder: Path | None) -> tuple[list[Image.Image], str]:
    """The first images of a folder, or a drawn one, RGB; and where they are from."""
    if folder is None:
        return [draw()], "a drawn image"
    images = read_images(folder, MAX_IMAGES)
    return images, f"{len(images)} images"


def read_images(folder: Path, count: int) -> list[Image.Image]:
    """The first images of a folder by name, at most so many, RGB, as the network gets them.

    Raises:
        SystemExit: The folder has none, or MMSegmentation is not installed.
        OSError: One of them cannot be read.
    """
    try:  # They import MMSegmentation, which drawn images go without.
        from mmseg_rloss.datasets.id_list import IMAGE_SUFFIXES
        from mmseg_rloss.datasets.image import read_image
        from mmseg_rloss.datasets.image_folder import files_by_id
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"--data needs MMSegmentation to read images, but {error.name} is not installed: leave "
            "it out, and an image is drawn"
        ) from error
    paths = [path for paths in files_by_id(folder).values() for path in paths]
    if not paths:
        raise SystemExit(f"--data {folder} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    return [Image.fromarray(read_image(path)) for path in paths[:count]]


def to_tensor(image: Image.Image, width: int, height: int) -> Tensor:
    """An image in another size, uint8 (1, 3, H, W)."""
    pixels = torch.from_numpy(np.array(image.resize((width, height))))  # (H, W, 3)
    return pixels.permute(2, 0, 1)[None].contiguous()


def draw() -> Image.Image:
    """Smooth areas with edges and a little noise, as photographs have them."""
    torch.manual_seed(0)
    coarse = torch.randint(0, 256, (1, 3, 9, 9)).float()
    smooth = F.interpolate(coarse, size=(400, 400), mode="bicubic")
    noisy = (smooth + 2 * torch.randn_like(smooth)).clamp(0, 255).byte()
    return Image.fromarray(noisy[0].permute(1, 2, 0).contiguous().numpy())
