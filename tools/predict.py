"""Predict the masks of images: label maps as palette PNGs, and overlays to look at.

    python tools/predict.py CONFIG CHECKPOINT images/ --out predictions/

writes predictions/masks/NAME.png, whose pixels are the network's class indices in the colours of
the classes, and predictions/overlays/NAME.jpg. Images in subfolders keep their subfolders; masks
and overlays of an earlier run are left out. With --save-scores, predictions/scores/NAME.npy holds
the logits, float16 (classes, height, width).

--refine lets a dense CRF refine the predictions; its parameters are options of the config:

    ... --refine --cfg-options model.dense_crf.bilateral_sigma_xy=40
"""

if __name__ == "__main__":  # before PyTorch is imported
    from mmseg_tool import wait_asleep

    wait_asleep()

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

import mmseg_rloss  # noqa: F401  # before MMSeg's models, which need it beside mmcv-lite

# isort: split
from mmengine.config import ConfigDict, DictAction
from mmseg.apis import inference_model

from mmseg_rloss.checkpoint import CheckpointError, load_network, palette_of
from mmseg_rloss.command_line import (
    at_least,
    output_folder,
    read_network_config,
    say,
    stop_if_any,
    visible,
)
from mmseg_rloss.datasets.id_list import IMAGE_SUFFIXES
from mmseg_rloss.datasets.image import reason
from mmseg_rloss.datasets.label_png import UNLABELLED, write_label_png
from mmseg_rloss.visualization import clear_background, overlay_labels, read_image

RESULTS = ("masks", "overlays", "scores")  # folders in --out
REFINING_SEGMENTORS = {
    "EncoderDecoder": "DenseCRFEncoderDecoder",
    "CascadeEncoderDecoder": "DenseCRFCascadeEncoderDecoder",
}


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    images = find_images(args.images, args.out)
    if not images:
        raise SystemExit(f"No image ({' '.join(IMAGE_SUFFIXES)}) in the folders that were named.")
    config = read_network_config(args.config, args.cfg_options)
    if args.refine is not None:
        refine(config.model, args.refine)
    try:
        model = load_network(config, args.checkpoint)
    except CheckpointError as error:
        raise SystemExit(str(error)) from None
    palette = palette_of(model)
    if len(palette) > UNLABELLED:
        raise SystemExit(f"A palette PNG has room for {UNLABELLED} classes, not {len(palette)}.")
    cleared = clear_background(palette, model.dataset_meta.get("classes") or ())
    bad = []
    for name, path in track(images.items(), "Predicting"):
        try:
            image = read_image(path)
        except OSError as error:
            bad.append(str(error))
            continue
        try:
            sample = inference_model(model, str(path)).cpu().numpy()
        except Exception as error:  # The image may be too large, or not what the config loads.
            bad.append(f"{path}: {reason(error)}")
            continue
        mask = sample.pred_sem_seg.data[0].astype(np.uint8)
        overlay = Image.fromarray(overlay_labels(image, mask, cleared))
        try:
            write_label_png(mask, file(args.out, "masks", f"{name}.png"), palette)
            overlay.save(file(args.out, "overlays", f"{name}.jpg"), quality=90)
            if args.save_scores:
                scores = sample.seg_logits.data.astype(np.float16)
                np.save(file(args.out, "scores", f"{name}.npy"), scores)
        except OSError as error:
            bad.append(f"{path}: its results cannot be written ({error})")
    say(f"{args.out} holds the masks and overlays of {len(images) - len(bad)} images.")
    stop_if_any(bad, "files could not be predicted, and were left out")


def refine(model: ConfigDict, iterations: int) -> None:
    """Make a config's segmentor the one of its kind that refines."""
    if model.type not in REFINING_SEGMENTORS.values():
        if model.type not in REFINING_SEGMENTORS:
            raise SystemExit(
                f"--refine works with {' and '.join(REFINING_SEGMENTORS)}, not with {model.type}."
            )
        model.type = REFINING_SEGMENTORS[model.type]
    model.dense_crf = ConfigDict(model.get("dense_crf") or {}, iterations=iterations)


def find_images(paths: list[Path], out: Path) -> dict[str, Path]:
    """Each image by its name without suffix, relative to the folder that was named.

    What an earlier run has written is left out.
    """
    images: dict[str, Path] = {}
    for path in paths:
        root = path if path.is_dir() else path.parent
        if (root == path and root.resolve() == out.resolve()) or is_result(root, out):
            raise SystemExit(f"{path} is where --out would write, over what is there: name another")
        for image in images_below(path, out) if path.is_dir() else [path]:
            name = str(image.relative_to(root).with_suffix(""))
            if images.setdefault(name, image) != image:
                raise SystemExit(f"{images[name]} and {image} would share a mask: rename one.")
    return images


def images_below(folder: Path, out: Path) -> list[Path]:
    return [
        path
        for path in visible(folder.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not path.is_dir()
        and not is_result(path.parent, out)
    ]


def is_result(folder: Path, out: Path) -> bool:
    """Whether a folder is one that the tool writes."""
    return any(folder.resolve().is_relative_to(out.resolve() / kind) for kind in RESULTS)


def file(out: Path, *parts: str) -> Path:
    """A file to write, in a folder that exists."""
    path = out.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config of the network")
    parser.add_argument("checkpoint", help="its weights")
    parser.add_argument("images", type=Path, nargs="+", help="images, or folders of images")
    parser.add_argument("--out", type=output_folder, required=True, help="folder to write to")
    parser.add_argument("--save-scores", action="store_true", help="write the logits, too")
    parser.add_argument(
        "--refine",
        type=at_least(0),
        nargs="?",
        const=10,
        metavar="ITERATIONS",
        help="refine by a dense CRF, in so many iterations (%(const)s)",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="settings to change in the config",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
