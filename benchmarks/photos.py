"""The photos on which the benchmarks on the CPU filter."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

MAX_PHOTOS = 4


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which photos, how often, and where to write."""
    parser.add_argument("--data", type=Path, help="folder of photos; a drawn one by default")
    parser.add_argument("--repeats", type=int, default=30, help="of every measurement (30)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to it")


def load_photos(folder: Path | None) -> tuple[list[Image.Image], str]:
    """The first photos of a folder, or a drawn one, RGB; and where they are from."""
    if folder is None:
        return [draw()], "a drawn image"
    paths = sorted(folder.glob("*.jpg"))[:MAX_PHOTOS]
    if not paths:
        raise SystemExit(f"--data {folder} holds no photo (*.jpg)")
    return [Image.open(path).convert("RGB") for path in paths], f"{len(paths)} photos"


def to_tensor(photo: Image.Image, width: int, height: int) -> Tensor:
    """A photo in another size, uint8 (1, 3, H, W)."""
    pixels = torch.from_numpy(np.array(photo.resize((width, height))))  # (H, W, 3)
    return pixels.permute(2, 0, 1)[None].contiguous()


def draw() -> Image.Image:
    """Smooth areas with edges and a little noise, as photos have them."""
    torch.manual_seed(0)
    coarse = torch.randint(0, 256, (1, 3, 9, 9)).float()
    smooth = F.interpolate(coarse, size=(400, 400), mode="bicubic")
    noisy = (smooth + 2 * torch.randn_like(smooth)).clamp(0, 255).byte()
    return Image.fromarray(noisy[0].permute(1, 2, 0).contiguous().numpy())
