"""How much of what a network gets wrong is the class, and how much the place.

    python benchmarks/class_confusion.py \
        configs/deeplabv3plus_mobilenet_scribble_self_label_animals.py \
        work_dirs/compare_losses/self_label/seed_0/iter_600.pth --json class_confusion.json

Evaluates on the validation images twice: as always, and with the classes of each image known, so
that the network can be wrong only about where they are. The second figures differ less from seed to
seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from report import Report
from rich.progress import track
from training import config_parser, read_config  # imports mmseg_rloss before MMSeg's models

# isort: split
from mmengine.config import Config
from mmseg.apis import inference_model
from mmseg.registry import DATASETS

from mmseg_rloss.checkpoint import load_network
from mmseg_rloss.comparison.scores import Areas
from mmseg_rloss.datasets.label_png import UNLABELLED

WAYS = ("all classes", "classes of the image known")


def main(argv: Sequence[str] | None = None) -> None:
    options = parse_args(argv)
    config = read_config(options)
    report = Report()
    report.keep("config", options.config.stem)
    figures = measure(config, options.checkpoint)
    report.keep("figures", figures)
    rows = [
        [way, f"{figure['miou']:.1f}", f"{figure['accuracy']:.1f}"]
        for way, figure in figures.items()
    ]
    report.table("class_confusion", ["", "mIoU", "mean accuracy by class"], rows)
    report.write(options.json)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = config_parser(__doc__, "of a network, with a set to validate on")
    parser.add_argument("checkpoint", help="of that network")
    return parser.parse_args(argv)


def measure(config: Config, checkpoint: str) -> dict[str, dict[str, float]]:
    """mIoU and mean accuracy by class, in per cent, with all classes and with the image's alone."""
    model = load_network(config, checkpoint)
    dataset = DATASETS.build(config.val_dataloader.dataset)
    areas = {way: Areas(model.num_classes) for way in WAYS}
    for item in track(dataset, "Images"):
        mask = item["data_samples"].gt_sem_seg.numpy().data[0]  # (H, W)
        logits = inference_model(model, item["data_samples"].img_path).seg_logits.data.cpu().numpy()
        counted = mask != UNLABELLED
        truth, logits = mask[counted], logits[:, counted]  # (P,), (K, P)
        absent = np.setdiff1d(np.arange(len(logits)), truth)
        areas["all classes"].add(logits.argmax(0), truth)
        logits[absent] = -np.inf
        areas["classes of the image known"].add(logits.argmax(0), truth)
    return {way: scores(of_way) for way, of_way in areas.items()}


def scores(areas: Areas) -> dict[str, float]:
    iou, accuracy = areas.rates()
    return dict(miou=float(np.nanmean(iou)), accuracy=float(np.nanmean(accuracy)))


if __name__ == "__main__":
    main()
