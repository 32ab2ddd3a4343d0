"""How good the soft labels of self-labelling are on training crops, with the full masks as truth.

    python benchmarks/label_quality.py \
        configs/deeplabv3plus_mobilenet_scribble_self_label_animals.py \
        work_dirs/compare_losses/self_label/seed_0/iter_200.pth --json label_quality.json

Leaves out what the labels are made of, one at a time: the network, the image's tags, the share of
the scribbles. The log loss, the mean of ``-log y`` of the true class (in nats, y no less than
0.001), says how far labels can be trusted, beside what their confidence, the mean of the largest y,
claims. The data set must have masks of its training images, which the loss never sees. Augmented
crops and batch statistics are as in training.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence

import numpy as np
import torch
from report import Report
from rich.progress import track
from torch import Tensor
from torch.nn import functional as F
from training import config_parser, read_config  # imports mmseg_rloss before MMSeg's models

# isort: split
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import load_checkpoint
from mmseg.evaluation import IoUMetric
from mmseg.registry import DATASETS, MODELS

from mmseg_rloss import provide_images
from mmseg_rloss.datasets.label_png import UNLABELLED
from mmseg_rloss.models import SelfLabelLoss
from mmseg_rloss.ops import soft_labels

WAYS = (
    "network alone",
    "soft labels",
    "soft labels without the network",
    "soft labels without image tags",
    "soft labels without network and tags",
    "soft labels without scribbles",
)


def main(argv: Sequence[str] | None = None) -> None:
    options = parse_args(argv)
    config = read_config(options)
    report = Report()
    figures = measure(config, options.checkpoint, options.batches)
    report.keep("config", options.config.stem)
    report.keep("batches", options.batches)
    report.keep("figures", figures)
    rows = [
        [
            way,
            f"{figure['miou']:.1f}",
            f"{figure['accuracy']:.1f}%",
            f"{figure['confidence']:.1f}%",
            f"{figure['log_loss']:.2f}",
        ]
        for way, figure in figures.items()
    ]
    columns = ["labels", "mIoU", "pixels right", "confidence", "log loss"]
    report.table("label_quality", columns, rows)
    report.write(options.json)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = config_parser(__doc__, "of a network with a SelfLabelLoss")
    parser.add_argument("checkpoint", help="of that network, from early in a training or late")
    parser.add_argument("--batches", type=int, default=16, help="of crops (default: 16)")
    return parser.parse_args(argv)


@torch.no_grad()
def measure(config: Config, checkpoint: str, batches: int) -> dict[str, dict[str, float]]:
    """Of each way to label, how good it is on pixels without a scribble, as :func:`scores` says."""
    model = revert_sync_batchnorm(MODELS.build(config.model)).train()
    load_checkpoint(model, checkpoint, map_location="cpu", strict=True)
    losses = [module for module in model.modules() if isinstance(module, SelfLabelLoss)]
    if not losses:
        raise SystemExit("config must list a SelfLabelLoss in loss_decode of a head")
    sets = [training_set(config, labels) for labels in ("scribble", "mask")]
    size = config.train_dataloader.batch_size
    areas = {way: torch.zeros(4, model.num_classes, dtype=torch.float64) for way in WAYS}
    trust = {way: torch.zeros(2, dtype=torch.float64) for way in WAYS}
    labels: dict[str, Tensor] = {}

    def label(loss: SelfLabelLoss, args: tuple) -> None:
        labels.update(labels_in_every_way(loss, *args[:2]))

    losses[0].register_forward_pre_hook(label)
    with provide_images(model):
        for number in track(range(batches), "Batches"):
            scribbled, masked = (
                model.data_preprocessor(pseudo_collate(crops(dataset, number, size)), True)
                for dataset in sets
            )
            torch.manual_seed(number)  # so that the same units drop out, whatever the labels
            model(**scribbled, mode="loss")
            truth, known = labels_of(masked), labels_of(scribbled)
            counted = (truth != UNLABELLED) & (known == UNLABELLED)
            for way, soft in labels.items():
                soft = F.interpolate(soft, truth.shape[1:], mode="bilinear")
                soft = soft.movedim(1, -1)[counted]  # (P, K)
                areas[way] += torch.stack(
                    IoUMetric.intersect_and_union(
                        soft.argmax(1), truth[counted], model.num_classes, UNLABELLED
                    )
                )
                trust[way] += trust_in(soft, truth[counted])
    return {way: scores(areas[way], trust[way]) for way in WAYS}


def training_set(config: Config, labels: str) -> torch.utils.data.Dataset:
    return DATASETS.build({**config.train_dataloader.dataset, "labels": labels})


def crops(dataset: torch.utils.data.Dataset, number: int, size: int) -> list[dict]:
    """A batch of augmented crops that are the same for every data set of the same images."""
    generator = random.Random(number)
    result = []
    for _ in range(size):
        index, seed = generator.randrange(len(dataset)), generator.randrange(1 << 32)
        random.seed(seed)
        np.random.seed(seed)
        result.append(dataset[index])
    return result


def labels_of(batch: dict) -> Tensor:
    """(N, H, W), UNLABELLED where there is none."""
    return torch.cat([sample.gt_sem_seg.data for sample in batch["data_samples"]])


def labels_in_every_way(loss: SelfLabelLoss, logits: Tensor, label: Tensor) -> dict[str, Tensor]:
    """From what the loss is called with, (N, K, h, w) at its scale."""
    scene, scale = loss.scene, loss.layer.scale_factor
    logits = F.interpolate(logits, scene.size, mode="bilinear")
    network = F.interpolate(logits, scale_factor=scale, mode="bilinear").softmax(1)
    region = scene.region(scale, network)  # (N, h, w)
    label = F.interpolate(label.unsqueeze(1).float(), region.shape[1:]).squeeze(1)
    uniform = torch.full_like(network, 1 / network.shape[1])
    nothing = torch.full_like(label, UNLABELLED)
    tags = None if scene.image_tags is None else scene.image_tags[:, : network.shape[1]]
    inputs = [
        (network, label, tags),
        (uniform, label, tags),
        (network, label, None),
        (uniform, label, None),
        (network, nothing, tags),
    ]
    image, sigmas = scene.image(scale), (loss.layer.sigma_rgb, loss.layer.sigma_xy * scale)
    balance = dict(label_balance=loss.label_balance)
    labels = [
        soft_labels(
            image, probabilities, region, known, *sigmas, 1.0, image_tags=possible, **balance
        )
        for probabilities, known, possible in inputs
    ]
    return dict(zip(WAYS, [network, *labels], strict=True))


def trust_in(soft: Tensor, truth: Tensor) -> Tensor:
    """Sums over the pixels, (2,): of the largest y, and of -log y of the true class."""
    true = soft.gather(1, truth.unsqueeze(1)).clamp(min=1e-3)
    return torch.stack((soft.amax(1).sum(), -true.log().sum()))


def scores(areas: Tensor, trust: Tensor) -> dict[str, float]:
    """From the areas of IoUMetric, (4, K), and the sums of trust_in; in per cent but the last."""
    rates = IoUMetric.total_area_to_metrics(*areas)
    confidence, log_loss = trust / areas[3].sum()
    return dict(
        miou=100 * float(np.nanmean(rates["IoU"])),
        accuracy=100 * float(rates["aAcc"]),
        confidence=100 * float(confidence),
        log_loss=float(log_loss),
    )


if __name__ == "__main__":
    main()
