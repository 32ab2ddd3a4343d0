"""Draw a small data set in PASCAL VOC's layout: images, full masks and scribbles.

Textured objects of six classes lie on cluttered, textured ground. Colour says where an object
ends but hardly what it is; shape and texture say what it is. A network that sees the scribbles
alone therefore learns the classes but not the outlines, which is the case that the DenseCRF loss
is made for.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from rich.progress import track

from mmseg_rloss.command_line import at_least, output_folder, say
from mmseg_rloss.datasets.label_png import UNLABELLED, write_label_png

SCRIBBLED_SHARE = 0.023  # of a region; strokes end later than asked for, near 0.03
STROKE_WIDTH = 2
SUPERSAMPLING = 4
MANIFEST = "sample.json"
DRAWING = 1  # raise it when the scenes change, so that an older set is not complete
SUFFIXES = {"JPEGImages": ".jpg", "SegmentationClassAug": ".png", "pascal_2012_scribble": ".png"}

Polygons = list[np.ndarray]  # each (V, 2): x to the right, y down, about -1 to 1
Texture = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def boat() -> Polygons:
    hull = [(-1, 0.35), (1, 0.35), (0.65, 0.9), (-0.65, 0.9)]
    sail = [(-0.1, -1), (0.1, -1), (0.8, 0.45), (-0.7, 0.45)]
    return [np.array(hull), np.array(sail)]


def bottle() -> Polygons:
    right = [(0.16, -1), (0.16, -0.5), (0.42, -0.25), (0.42, 0.95)]
    return [np.array(right + [(-x, y) for x, y in reversed(right)])]


def cow() -> Polygons:
    legs = [[(x, 0), (x + 0.2, 0), (x + 0.2, 0.9), (x, 0.9)] for x in (-0.6, -0.3, 0.2, 0.5)]
    return [
        ellipse(-0.05, 0.0, 0.8, 0.45),
        ellipse(0.8, -0.35, 0.28, 0.24),
        *(np.array(leg) for leg in legs),
    ]


def pottedplant() -> Polygons:
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radii = 0.42 + 0.3 * np.abs(np.cos(3.5 * angles))
    leaves = np.stack([radii * np.cos(angles), radii * np.sin(angles) - 0.3], axis=1)
    pot = [(-0.4, 0.2), (0.4, 0.2), (0.28, 0.95), (-0.28, 0.95)]
    return [leaves, np.array(pot)]


def sheep() -> Polygons:
    angles = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radii = 1 + 0.12 * np.cos(11 * angles)
    wool = np.stack([0.8 * radii * np.cos(angles), 0.6 * radii * np.sin(angles)], axis=1)
    legs = [[(x, 0), (x + 0.16, 0), (x + 0.16, 0.9), (x, 0.9)] for x in (-0.45, 0.3)]
    return [wool, *(np.array(leg) for leg in legs)]


def tvmonitor() -> Polygons:
    screen = [(-1, -0.75), (1, -0.75), (1, 0.5), (-1, 0.5)]
    stand = [(-0.2, 0.4), (0.2, 0.4), (0.45, 0.8), (-0.45, 0.8)]
    return [np.array(screen), np.array(stand)]


def ellipse(x: float, y: float, width: float, height: float) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    return np.stack([x + width * np.cos(angles), y + height * np.sin(angles)], axis=1)


def stripes(angle: float, period: float) -> Texture:
    """A wave along `angle` (radians, turned a little each time), `period` in pixels."""

    def texture(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        turned = angle + rng.uniform(-0.2, 0.2)
        distance = x * np.cos(turned) + y * np.sin(turned)
        return np.sin(2 * np.pi * (distance / period + rng.random()))

    return texture


def dots(period: float) -> Texture:
    def texture(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        horizontal = stripes(0, period)(x, y, rng)
        vertical = stripes(np.pi / 2, period)(x, y, rng)
        return np.where(horizontal + vertical > 0.7, 1.0, -0.5)

    return texture


def patches(size: float) -> Texture:
    """Smooth noise cut at its mean, in patches of about `size` pixels."""

    def texture(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = cv2.GaussianBlur(rng.standard_normal(x.shape), (0, 0), size / 2)
        return np.where(noise > 0, 1.0, -1.0)

    return texture


def grain(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(-1.5, 1.5, x.shape)


class ObjectClass(NamedTuple):
    label: int  # VOC's index
    outline: Callable[[], Polygons]
    texture: Texture
    colour: tuple[int, int, int]  # RGB, the mean over many objects


CLASSES = [
    ObjectClass(4, boat, stripes(np.pi / 4, 8), (200, 65, 55)),
    ObjectClass(5, bottle, stripes(0, 6), (35, 145, 115)),
    ObjectClass(10, cow, patches(6), (110, 65, 40)),
    ObjectClass(16, pottedplant, grain, (115, 175, 50)),
    ObjectClass(17, sheep, dots(6), (225, 205, 130)),
    ObjectClass(20, tvmonitor, stripes(np.pi / 2, 6), (55, 75, 160)),
]
MAX_OVERLAP = 0.15  # share of an object that may lie on objects drawn before it
COLOUR_SPREAD = 15  # standard deviation of an object's colour about the mean of its class
GROUND_TEXTURES: list[Texture] = [grain, patches(3), patches(12), stripes(-np.pi / 4, 12)]


def coverage(polygons: Polygons, size: tuple[int, int]) -> np.ndarray:
    """The share of each pixel that the union of the polygons (in pixels) covers, (H, W)."""
    width, height = size
    canvas = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), dtype=np.uint8)
    for polygon in polygons:
        cv2.fillPoly(canvas, [np.round(polygon * SUPERSAMPLING).astype(np.int32)], 255)
    return cv2.resize(canvas, size, interpolation=cv2.INTER_AREA) / 255.0


def place(polygons: Polygons, size: tuple[int, int], rng: np.random.Generator) -> Polygons:
    """Scale, turn, mirror and shift an outline so that most of it lies in the picture."""
    radius = min(size) * rng.uniform(0.2, 0.36)
    centre = np.array(size) * rng.uniform(0.15, 0.85, 2)
    angle = rng.uniform(-0.3, 0.3)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    stretch = rng.uniform(0.85, 1.15, 2) * (rng.choice([-1, 1]), 1)
    return [(polygon * stretch * radius) @ turn + centre for polygon in polygons]


def clutter(size: tuple[int, int], rng: np.random.Generator) -> Polygons:
    """An outline without meaning: an ellipse or a ragged polygon."""
    radius = min(size) * rng.uniform(0.08, 0.35)
    centre = np.array(size) * rng.random(2)
    if rng.random() < 0.5:
        return [ellipse(0, 0, 1, rng.uniform(0.4, 1)) * radius + centre]
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(4, 8)))
    return [np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + centre]


def draw_scene(size: tuple[int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One image (H, W, 3) uint8 RGB and its mask (H, W) uint8, size being (width, height)."""
    everywhere = np.ones(size[::-1])
    image = np.zeros((*everywhere.shape, 3))
    for layer in range(rng.integers(13, 21)):
        covered = coverage(clutter(size, rng), size) if layer else everywhere
        ground_colour = rng.normal(rng.uniform(40, 215), 15, 3)  # near grey
        texture = GROUND_TEXTURES[rng.integers(len(GROUND_TEXTURES))]
        image = paint(image, covered, texture, ground_colour, rng)
    mask = np.zeros(everywhere.shape, dtype=np.uint8)
    for _ in range(rng.integers(3, 6)):
        kind = CLASSES[rng.integers(len(CLASSES))]
        covered = coverage(place(kind.outline(), size, rng), size)
        if np.mean(mask[covered > 0.5] != 0) > MAX_OVERLAP:
            continue
        colour = rng.normal(kind.colour, COLOUR_SPREAD)
        image = paint(image, covered, kind.texture, colour, rng)
        mask[covered > 0.5] = kind.label
    noisy = image + rng.normal(0, 3, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), mask


def paint(
    image: np.ndarray,
    covered: np.ndarray,
    texture: Texture,
    colour: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """Lay a textured, unevenly lit surface over the covered part of the image, (H, W, 3)."""
    height, width = covered.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    contrast = rng.uniform(8, 16) * rng.uniform(0.6, 1.4, 3)
    slope = rng.uniform(-25, 25, 2)
    light = slope[0] * (x / width - 0.5) + slope[1] * (y / height - 0.5)
    surface = colour + texture(x, y, rng)[..., None] * contrast + light[..., None]
    return image + covered[..., None] * (surface - image)


def draw_scribbles(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Strokes inside each connected region of the mask, UNLABELLED elsewhere; (H, W) uint8."""
    scribbles = np.full_like(mask, UNLABELLED)
    for label in np.unique(mask):
        _, regions = cv2.connectedComponents((mask == label).astype(np.uint8), connectivity=4)
        for region in range(1, regions.max() + 1):
            strokes = draw_strokes(regions == region, rng)
            scribbles[strokes] = label
    return scribbles


def draw_strokes(region: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Curved strokes through the heart of a region, on SCRIBBLED_SHARE of it; (H, W) bool.

    The first and last point of a stroke lie far from the region's edge, as a hand would put them.
    """
    padded = np.pad(region, 1).astype(np.uint8)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]  # (H, W), pixels to the edge
    heart = np.argwhere(depth >= 0.5 * depth.max())[:, ::-1]  # (M, 2), x and y
    strokes = np.zeros(region.shape, dtype=np.uint8)
    wanted = SCRIBBLED_SHARE * region.sum()
    for _ in range(20):
        if strokes.sum() >= wanted:
            break
        start, bend, end = heart[rng.integers(len(heart), size=3)]
        t = np.linspace(0, 1, 30)[:, None]
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end  # quadratic Bezier
        cv2.polylines(strokes, [np.round(curve).astype(np.int32)], False, 1, STROKE_WIDTH)
        strokes[depth < 2] = 0
    return strokes.astype(bool)


def write_dataset(out: Path, recipe: dict) -> None:
    """Draw every scene of the recipe into the folder `out`, the manifest last."""
    for folder in (*SUFFIXES, "ImageSets/Segmentation"):
        (out / folder).mkdir(parents=True)
    images, masks, scribbles = (out / folder for folder in SUFFIXES)
    names = scene_names(recipe)
    for split, ids in names.items():
        (out / f"ImageSets/Segmentation/{split}.txt").write_text("".join(f"{i}\n" for i in ids))
    for name in track([i for ids in names.values() for i in ids], "Drawing the sample data"):
        # One generator for each scene: it stays the same however many others are asked for.
        rng = np.random.default_rng([recipe["seed"], *name.encode()])
        image, mask = draw_scene(tuple(recipe["size"]), rng)
        Image.fromarray(image).save(images / f"{name}.jpg", quality=95)
        write_label_png(mask, masks / f"{name}.png")
        write_label_png(draw_scribbles(mask, rng), scribbles / f"{name}.png")
    (out / MANIFEST).write_text(json.dumps(recipe))


def scene_names(recipe: dict) -> dict[str, list[str]]:
    return {
        "train_aug": [f"train_{i:04d}" for i in range(recipe["train"])],
        "val": [f"val_{i:04d}" for i in range(recipe["val"])],
    }


def is_complete(out: Path, recipe: dict) -> bool:
    """Whether `out` holds every file of this very recipe."""
    manifest = out / MANIFEST
    try:
        if json.loads(manifest.read_text(encoding="utf-8")) != recipe:
            return False
    except (OSError, ValueError):  # It is missing, or incomplete.
        return False
    return all(
        (out / folder / f"{name}{suffix}").is_file()
        for folder, suffix in SUFFIXES.items()
        for ids in scene_names(recipe).values()
        for name in ids
    )


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = "(default: %(default)s)"
    parser.add_argument(
        "--out", type=output_folder, default=Path("data/sample"), help=f"folder {default}"
    )
    parser.add_argument(
        "--train", type=at_least(1), default=300, help=f"number of training scenes {default}"
    )
    parser.add_argument(
        "--val", type=at_least(1), default=60, help=f"number of validation scenes {default}"
    )
    parser.add_argument(
        "--size",
        type=at_least(32),
        nargs=2,
        default=[160, 120],
        metavar=("WIDTH", "HEIGHT"),
        help="of an image, in pixels (default: 160 120)",
    )
    parser.add_argument("--seed", type=at_least(0), default=0, help=f"of the drawing {default}")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    out = args.out
    recipe = {key: value for key, value in vars(args).items() if key != "out"}
    recipe["drawing"] = DRAWING
    if is_complete(out, recipe):
        say(f"{out} is complete: nothing to do.")
        return
    if out.exists():
        raise SystemExit(
            f"{out} exists but is not the complete sample data set that was asked for "
            f"({recipe}). Remove it, or name another folder with --out."
        )
    unfinished = out.with_name(f"{out.name}.unfinished")
    if unfinished.exists():  # left by a run that was interrupted
        shutil.rmtree(unfinished)
    write_dataset(unfinished, recipe)
    unfinished.rename(out)
    say(f"{out} holds {args.train} training and {args.val} validation scenes.")


if __name__ == "__main__":
    main()
