"""How large the DenseCRF energy is at each crop, scale and bandwidth, and so which weight it needs.

The gradient of the un-normalised energy with respect to one pixel grows with the affinity that the
pixel has to all others, its *mass* (the filter applied to ones), and there are as many such pixels
as the scaled crop has. A weight therefore carries over from one setting to another divided by the
ratio of pixels times mass. The table gives both for photos, and the weight that is as strong as
rloss's 1.5e-9 at crop 513, scale 0.5, sigma_rgb 15 and sigma_xy 100.

    python benchmarks/energy_scale.py --photos ../shared/voc_animals/JPEGImages
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from statistics import median
from typing import NamedTuple

import cv2
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed
from mmseg_rloss.ops import bilateral_filter


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


PUBLISHED = Setting(crop=513, scale_factor=0.5, sigma_rgb=15, sigma_xy=100)
PUBLISHED_WEIGHT = 1.5e-9


def main() -> None:
    args = parse_args()
    photos = sorted(args.photos.glob("*.jpg"))[:: args.every][: args.count]
    if not photos:
        sys.exit(f"--photos {args.photos} holds no .jpg: name a folder of photos")
    grid = itertools.product(args.crops, args.scales, args.sigmas_rgb, args.sigmas_xy)
    settings = list(dict.fromkeys([PUBLISHED, *(Setting(*values) for values in grid)]))
    strength = {
        setting: setting.size**2 * mass(setting, photos) for setting in track(settings, "Settings")
    }
    rows = [
        {
            **setting._asdict(),
            "pixels": setting.size**2,
            "mass": strength[setting] / setting.size**2,
            "weight": PUBLISHED_WEIGHT * strength[PUBLISHED] / strength[setting],
        }
        for setting in settings
    ]
    show(rows, len(photos))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, required=True, help="folder of .jpg photos")
    parser.add_argument("--count", type=int, default=12, help="photos to take (default: 12)")
    parser.add_argument("--every", type=int, default=60, help="take every n-th (default: 60)")
    parser.add_argument("--crops", type=int, nargs="+", default=[112, 224, 321, 513, 769])
    parser.add_argument("--scales", type=float, nargs="+", default=[0.5, 1.0])
    parser.add_argument("--sigmas-rgb", type=float, nargs="+", default=[15.0])
    parser.add_argument("--sigmas-xy", type=float, nargs="+", default=[50.0, 100.0])
    parser.add_argument("--json", type=Path, help="also write the table to this file")
    return parser.parse_args()


def mass(setting: Setting, photos: list[Path]) -> float:
    """Median over the photos of a pixel's mean affinity to all pixels, itself included."""
    return median(photo_mass(setting, path) for path in photos)


def photo_mass(setting: Setting, path: Path) -> float:
    photo = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    # Training resizes the short side to about the crop, and crops a square of it.
    factor = setting.crop / min(photo.shape[:2])
    photo = cv2.resize(photo, None, fx=factor, fy=factor)[: setting.crop, : setting.crop]
    photo = cv2.resize(photo, (setting.size, setting.size), interpolation=cv2.INTER_NEAREST)
    image = torch.from_numpy(photo).permute(2, 0, 1).unsqueeze(0)  # (1, 3, H, W)
    ones = torch.ones(1, 1, setting.size, setting.size)
    sigma_xy = setting.sigma_xy * setting.scale_factor
    return bilateral_filter(image, ones, setting.sigma_rgb, sigma_xy).mean().item()


def show(rows: list[dict], num_photos: int) -> None:
    table = Table(title=f"Median of {num_photos} photos")
    for name in rows[0]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            *(
                f"{value:.3g}" if name in ("mass", "weight") else f"{value:g}"
                for name, value in row.items()
            )
        )
    Console().print(table)


if __name__ == "__main__":
    main()
