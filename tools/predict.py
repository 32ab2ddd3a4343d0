"""Predict the masks of photos: label maps as palette PNGs, and overlays to look at.

    python tools/predict.py CONFIG CHECKPOINT photos/ --out predictions/

writes predictions/masks/NAME.png, whose pixels are the network's class indices in the colours of
the classes, and predictions/overlays/NAME.jpg. Photos in subfolders keep their subfolders.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed
import mmseg_rloss  # noqa: F401  # before MMSeg's models, which need it beside mmcv-lite

# isort: split
from mmengine.device import get_device
from mmseg.apis import inference_model, init_model

from mmseg_rloss.datasets.label_png import write_label_png
from mmseg_rloss.visualization import overlay_labels

PHOTO_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    photos = dict(find_photos(args.photos))
    if not photos:
        raise SystemExit(f"No photo ({', '.join(PHOTO_SUFFIXES)}) in {names(args.photos)}.")
    model = init_model(args.config, args.checkpoint, device=args.device or get_device())
    palette = np.array(model.dataset_meta["palette"], dtype=np.uint8)
    unreadable = []
    for name, photo in track(photos.items(), "Predicting"):
        try:
            image = np.array(Image.open(photo).convert("RGB"))
        except OSError:
            unreadable.append(photo)
            continue
        sample = inference_model(model, str(photo))
        mask = sample.pred_sem_seg.cpu().numpy().data[0].astype(np.uint8)
        mask_file = args.out / "masks" / f"{name}.png"
        overlay_file = args.out / "overlays" / f"{name}.jpg"
        for file in (mask_file, overlay_file):
            file.parent.mkdir(parents=True, exist_ok=True)
        write_label_png(mask, mask_file, palette)
        Image.fromarray(overlay_labels(image, mask, palette)).save(overlay_file, quality=90)
    print(f"{args.out} holds masks/ and overlays/ of {len(photos) - len(unreadable)} photos.")
    if unreadable:
        raise SystemExit(f"{len(unreadable)} could not be read: {names(unreadable)}")


def find_photos(paths: list[Path]) -> Iterator[tuple[str, Path]]:
    """Each photo by its name without suffix, in a folder relative to that folder."""
    for path in paths:
        if not path.is_dir():
            yield path.stem, path
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in PHOTO_SUFFIXES:
                yield str(file.relative_to(path).with_suffix("")), file


def names(paths: list[Path]) -> str:
    return ", ".join(map(str, paths))


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config of the network")
    parser.add_argument("checkpoint", help="its weights")
    parser.add_argument("photos", type=Path, nargs="+", help="photos, or folders of photos")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--device", help="such as cpu or cuda:1 (default: the GPU where there is)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    main()
