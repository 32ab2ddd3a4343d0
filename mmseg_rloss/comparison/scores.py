"""The scores of a training on the validation set, near boundaries too."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmseg.apis import inference_model
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS

from ..checkpoint import load_network
from ..datasets.config_data import data_of, ignored_by_metric
from ..datasets.label_png import UNLABELLED, write_label_png

TRIMAP_WIDTHS = (2, 4, 8, 16)  # pixels to either side of a boundary
EVERYWHERE = math.inf
WIDTHS = (EVERYWHERE, *TRIMAP_WIDTHS)

Result = dict[str, Any]  # what `measure` returns


def measure(config: Config, folder: Path) -> Result:
    """Evaluate the last checkpoint of a training, and write its predictions into the folder.

    Returns:
        mIoU, mAcc, class_IoU by class and trimap_mIoU by width, in per cent, and
        seconds_per_iteration.

    Raises:
        CheckpointError: The checkpoint cannot be loaded into the network.
    """
    checkpoint = (folder / "last_checkpoint").read_text(encoding="utf-8").strip()
    model = load_network(config, checkpoint)
    dataset = DATASETS.build(config.val_dataloader.dataset)
    data = data_of(config, "val")
    names = {path: name for name, path in data.images.items()}
    ignored = [UNLABELLED, ignored_by_metric(config, "val")]
    areas = {width: Areas(len(data.classes)) for width in WIDTHS}
    predictions = folder / "predictions"
    for item in dataset:
        mask = item["data_samples"].gt_sem_seg.numpy().data[0]
        path = Path(item["data_samples"].img_path)
        sample = inference_model(model, str(path))
        prediction = sample.pred_sem_seg.cpu().numpy().data[0]
        file = predictions / f"{names[path]}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_label_png(prediction.astype(np.uint8), file, data.palette)
        count(areas, prediction, mask, ignored)
    iou, accuracy = areas[EVERYWHERE].rates()
    return {
        "mIoU": float(np.nanmean(iou)),
        "mAcc": float(np.nanmean(accuracy)),
        "class_IoU": dict(zip(data.classes, iou.tolist(), strict=True)),
        "trimap_mIoU": {w: float(np.nanmean(areas[w].rates()[0])) for w in TRIMAP_WIDTHS},
        "seconds_per_iteration": seconds_per_iteration(folder),
    }


class Areas:
    """The areas of MMSegmentation's IoUMetric, over the pixels of a data set that are counted."""

    def __init__(self, num_classes: int) -> None:
        # Intersection, union, prediction and truth; IoUMetric counts an image in float32.
        self._sums = torch.zeros(4, num_classes, dtype=torch.float64)

    def add(self, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Count pixels by their predicted and their true class, each (P,)."""
        pixels = (torch.from_numpy(labels.astype(np.int64)) for labels in (prediction, truth))
        counted = IoUMetric.intersect_and_union(*pixels, self._sums.shape[1], UNLABELLED)
        self._sums += torch.stack(counted)

    def rates(self) -> tuple[np.ndarray, np.ndarray]:
        """IoU and accuracy of each class (K,) in per cent; NaN for a class that does not occur."""
        rates = IoUMetric.total_area_to_metrics(*self._sums)
        return 100 * rates["IoU"], 100 * rates["Acc"]


def count(
    areas: Mapping[float, Areas], prediction: np.ndarray, mask: np.ndarray, ignored: list[int]
) -> None:
    """Count an image's pixels, each (H, W) of labels, by their distance from a boundary."""
    evaluated, distance = ~np.isin(mask, ignored), distance_to_boundary(mask)
    for width, of_width in areas.items():
        counted = evaluated & (distance <= width)
        of_width.add(prediction[counted], mask[counted])


def distance_to_boundary(mask: np.ndarray) -> np.ndarray:
    """The distance of each pixel from the nearest boundary of the mask, (H, W) in pixels.

    The pixels on either side of a boundary are at distance 1; infinite where there is none.
    """
    beside = np.zeros(mask.shape, bool)
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    beside[:, 1:] |= across
    beside[:, :-1] |= across
    beside[1:] |= down
    beside[:-1] |= down
    if not beside.any():
        return np.full(mask.shape, np.inf)
    return 1 + cv2.distanceTransform((~beside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def seconds_per_iteration(folder: Path) -> float:
    """The median over the lines of the training's log; NaN if it was too short for a line."""
    logs = folder.glob("*/vis_data/scalars.json")
    lines = [line for log in logs for line in log.read_text(encoding="utf-8").split("\n")]
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    times = [entry["time"] for entry in entries if "loss" in entry]
    return median(times) if times else math.nan
