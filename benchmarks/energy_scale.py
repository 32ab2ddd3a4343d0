"""How strongly the DenseCRF loss pulls at each crop, scale and bandwidth, and so which weight fits.

The table gives, for images with masks and scribbles (in the layout of docs/data.md), one row for
each setting:

- pixels, mass: of the scaled crop, and the affinity of one of its pixels to all (the filter applied
  to ones). The gradient of the un-normalized energy grows with their product.
- weight: as strong as rloss's 1.5e-9 at crop 513, scale 0.5, sigma_rgb 15, sigma_xy 100 by that
  product.
- plain, normalized: the norm of the gradient of the energy with respect to the logits, at weight 1,
  over that of the cross entropy on the scribbles. The logits are a map of an eighth of the crop, as
  networks predict it, made of the mask: right, but for uncertain boundaries.

One parameter after the other is varied, then crop, scale and sigma_xy together, at their extremes.

    python benchmarks/energy_scale.py --data ../shared/voc_animals
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from report import Report
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F

from mmseg_rloss.datasets.image import read_image
from mmseg_rloss.datasets.image_folder import files_by_id, only_image
from mmseg_rloss.datasets.label_png import UNLABELLED, read_label_png
from mmseg_rloss.datasets.pascal_scribble import IMAGE_FOLDER, LABEL_FOLDERS
from mmseg_rloss.ops import bilateral_filter, densecrf_loss

NUM_CLASSES = 21
STRIDE = 8  # of the network's map
CERTAINTY = 0.9  # of the probability away from boundaries


class Setting(NamedTuple):
    """What decides the size of the energy."""

    crop: int  # pixels
    scale_factor: float
    sigma_rgb: float  # grey levels
    sigma_xy: float  # pixels of the crop

    @property
    def size(self) -> int:
        """Side of the scaled crop in pixels."""
        return int(self.crop * self.scale_factor)


class Example(NamedTuple):
    """The files of an image."""

    image: Path
    mask: Path
    scribble: Path


PUBLISHED = Setting(crop=513, scale_factor=0.5, sigma_rgb=15, sigma_xy=100)
PUBLISHED_WEIGHT = 1.5e-9


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    examples = examples_in(args.data)[:: args.every][: args.count]
    if not examples:
        sys.exit(f"--data {args.data} holds no image with a mask and a scribble: see docs/data.md")
    grid = settings(args)
    measured = {setting: measure(setting, examples) for setting in track(grid, "Settings")}
    rows = list(table_rows(measured))
    report = Report()
    report.keep("settings", rows)
    report.table(
        "energy_scale", list(rows[0]), map(cells, rows), f"Median of {len(examples)} images"
    )
    for name in ("plain", "normalized"):
        values = [row[name] for row in rows]
        report.say(f"{name}: the largest is {max(values) / min(values):.3g} times the smallest.")
    report.write(args.json)
    if args.plot:
        draw(rows).savefig(args.plot, dpi=150)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="root of a scribble data set")
    parser.add_argument("--count", type=int, default=8, help="images to take (default: 8)")
    parser.add_argument("--every", type=int, default=90, help="take every n-th (default: 90)")
    parser.add_argument(
        "--crops", type=int, nargs="+", default=[128, 192, 224, 321, 513, 769, 1024]
    )
    parser.add_argument("--scales", type=float, nargs="+", default=[0.25, 0.5, 1.0])
    parser.add_argument("--sigmas-rgb", type=float, nargs="+", default=[5, 15, 30, 60])
    parser.add_argument("--sigmas-xy", type=float, nargs="+", default=[20, 50, 100, 200])
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    parser.add_argument("--plot", type=Path, help="also draw the gradients to this file")
    return parser.parse_args(argv)


def examples_in(data: Path) -> list[Example]:
    """The images of a data set with a mask and a scribble, by name."""
    folder = data / IMAGE_FOLDER
    images = files_by_id(folder)
    masks, scribbles = (data / LABEL_FOLDERS[labels] for labels in ("mask", "scribble"))
    return [
        Example(only_image(images, name, folder), masks / f"{name}.png", scribbles / f"{name}.png")
        for name in sorted(images)
        if (masks / f"{name}.png").exists() and (scribbles / f"{name}.png").exists()
    ]


def settings(args: argparse.Namespace) -> list[Setting]:
    """The published one, each parameter varied in turn, and the extremes of all but the colour."""
    values = dict(
        crop=args.crops,
        scale_factor=args.scales,
        sigma_rgb=args.sigmas_rgb,
        sigma_xy=args.sigmas_xy,
    )
    in_turn = [PUBLISHED._replace(**{name: v}) for name, vs in values.items() for v in vs]
    extremes = [
        (min(vs), max(vs))
        for vs in (args.crops, args.scales, [PUBLISHED.sigma_rgb], args.sigmas_xy)
    ]
    corners = [Setting(*corner) for corner in itertools.product(*extremes)]
    return list(dict.fromkeys([PUBLISHED, *in_turn, *corners]))


def measure(setting: Setting, examples: list[Example]) -> dict[str, float]:
    """Medians over the images."""
    figures = [measure_one(setting, example) for example in examples]
    return {key: median(of_one[key] for of_one in figures) for key in figures[0]}


def measure_one(setting: Setting, example: Example) -> dict[str, float]:
    pixels = cropped(read_image(example.image), setting.crop, cv2.INTER_LINEAR)
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]  # (1, 3, H, W)
    mask, scribbles = (
        cropped(read_label_png(path)[0], setting.crop, cv2.INTER_NEAREST)
        for path in (example.mask, example.scribble)
    )
    predicted = plausible_logits(mask).requires_grad_()  # (1, K, H / STRIDE, W / STRIDE)
    logits = F.interpolate(predicted, image.shape[2:], mode="bilinear")  # (1, K, H, W)
    labels = torch.from_numpy(scribbles.astype(np.int64))[None]
    entropy = gradient_norm(F.cross_entropy(logits, labels, ignore_index=UNLABELLED), predicted)

    region = torch.ones_like(labels)
    parameters = setting.sigma_rgb, setting.sigma_xy, setting.scale_factor
    pulls = {}
    for key, normalize in dict(plain=False, normalized=True).items():
        energy = densecrf_loss(image, logits.softmax(1), region, *parameters, normalize=normalize)
        pulls[key] = gradient_norm(energy, predicted) / entropy
    return dict(mass=mass(image, setting), **pulls)


def cropped(array: np.ndarray, crop: int, interpolation: int) -> np.ndarray:
    """The square that training crops: the short side is resized to the crop."""
    factor = crop / min(array.shape[:2])
    array = cv2.resize(array, None, fx=factor, fy=factor, interpolation=interpolation)
    return array[:crop, :crop]


def plausible_logits(mask: np.ndarray) -> Tensor:
    """(1, K, h, w) logits of a network that is right but for uncertain boundaries."""
    one_hot = np.eye(NUM_CLASSES, dtype=np.float32)[np.where(mask == UNLABELLED, 0, mask)]
    size = (len(mask) // STRIDE,) * 2
    shares = F.interpolate(torch.from_numpy(one_hot).permute(2, 0, 1)[None], size, mode="area")
    return (CERTAINTY * shares + (1 - CERTAINTY) / NUM_CLASSES).log()


def gradient_norm(loss: Tensor, logits: Tensor) -> float:
    (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
    return gradient.norm().item()


def mass(image: Tensor, setting: Setting) -> float:
    """The mean affinity of a pixel of the scaled image to all its pixels, itself included."""
    image = F.interpolate(image.float(), scale_factor=setting.scale_factor)
    ones = torch.ones_like(image[:, :1])
    sigma_xy = setting.sigma_xy * setting.scale_factor
    return bilateral_filter(image, ones, setting.sigma_rgb, sigma_xy).mean().item()


def table_rows(measured: dict[Setting, dict[str, float]]) -> Iterator[dict[str, float]]:
    strength = {setting: setting.size**2 * of["mass"] for setting, of in measured.items()}
    for setting, of in measured.items():
        yield {
            **setting._asdict(),
            "pixels": setting.size**2,
            "mass": of["mass"],
            "weight": PUBLISHED_WEIGHT * strength[PUBLISHED] / strength[setting],
            "plain": of["plain"],
            "normalized": of["normalized"],
        }


def cells(row: dict[str, float]) -> list[str]:
    """A row as the table shows it."""
    numbers = {name: f"{row[name]:g}" for name in Setting._fields}
    numbers |= {name: f"{row[name]:,.0f}" for name in ("pixels", "mass")}
    numbers |= {name: powers(row[name]) for name in ("weight", "plain")}
    return [*numbers.values(), f"{row['normalized']:.2f}"]


def powers(number: float) -> str:
    """Two digits and the power of ten, such as 1.5e-9."""
    digits, _, exponent = f"{number:.1e}".partition("e")
    return f"{digits}e{int(exponent)}"


def draw(rows: list[dict]) -> Figure:
    """Both gradients against pixels times mass, relative to the published setting."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    strength = [row["pixels"] * row["mass"] for row in rows]
    for name, marker in dict(plain="o", normalized="s").items():
        ratios = [row[name] / rows[0][name] for row in rows]
        axes.loglog(strength, ratios, marker, label=name, alpha=0.7)
    line = np.array([min(strength), max(strength)])
    axes.loglog(line, line / strength[0], "k:", label="pixels x mass")
    axes.set_xlabel("pixels x mass of the scaled crop")
    axes.set_ylabel("gradient over that of the cross entropy,\nrelative to crop 513, scale 0.5")
    axes.legend()
    return figure


if __name__ == "__main__":
    main()
