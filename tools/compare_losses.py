"""Train from scribbles by cross entropy alone and with losses over all pixels, and from full masks.

The trainings follow one config, which lists such a loss; only the losses and the labels differ. The
full masks are those of the folder to validate on; where images to train on have none, that training
is left out. The table tells the mean and the standard deviation over the seeds; the figure shows
each seed. A call that was stopped goes on where it was, and what is finished is not trained again.

    ... --losses densecrf normalized gated

compares several losses of the config's `regularized_losses`, by name. Where the config warms up
(RegularizedLossWarmupHook), they all go on from the checkpoint that cross entropy alone left at the
end of the warm-up.
"""

import argparse
import copy
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from mmengine.config import Config, ConfigDict, DictAction
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed
import mmseg_rloss  # noqa: F401  # before MMSeg's models, which need it beside mmcv-lite

# isort: split
from mmengine.registry import init_default_scope
from mmseg.apis import inference_model
from mmseg.registry import DATASETS, MODELS

from mmseg_rloss import visualization
from mmseg_rloss.checkpoint import CheckpointError, is_whole, load_network
from mmseg_rloss.command_line import at_least, output_folder, read_network_config, say
from mmseg_rloss.datasets import DatasetFilesError, DatasetNotFoundError, ScribbleDataset
from mmseg_rloss.datasets.config_data import (
    data_of,
    ignored_by_metric,
    inner_dataset,
    label_folder,
    type_of,
)
from mmseg_rloss.datasets.label_png import UNLABELLED, write_label_png
from mmseg_rloss.datasets.own_data import check_masks
from mmseg_rloss.models.losses import RegularizedLoss, named_losses

TITLES = {
    "ce": "cross entropy",
    "densecrf": "+ DenseCRF",
    "normalized": "+ DenseCRF, normalized",
    "gated": "+ gated",
    "normalized_cut": "+ normalized cut",
    "kernel_cut": "+ kernel cut",
    "self_label": "+ self-labelling",
    "mask": "full masks",
}
TRIMAP_WIDTHS = (2, 4, 8, 16)  # pixels to either side of a boundary
WARMUP = "RegularizedLossWarmupHook"
HOOKS_OF_THE_LOSS = ("ProvideImagesHook", "DenseCRFVisualizationHook", WARMUP)
EXAMPLES = 4  # validation photos to draw

Result = dict[str, Any]  # what `measure` returns
Results = dict[str, dict[int, Result]]  # by variant and seed


def main(argv: list[str] | None = None) -> None:
    args = parse_args(argv)
    out = args.out or Path("work_dirs") / "compare_losses" / args.config.stem
    config = read_network_config(args.config, args.cfg_options)
    init_default_scope("mmseg")
    losses = losses_to_compare(config, args.losses)
    if taken := {"ce", "mask"} & losses.keys():
        raise SystemExit(f"{taken.pop()} names a training without the losses: rename the loss.")
    variants = ["ce", *losses]
    look_at_masks(config)
    if masks_to_train_on(config):
        variants.append("mask")
    else:
        say("Not all images to train on have a full mask: that training is left out.")
    runs = [(variant, seed) for seed in args.seeds for variant in variants]
    results: Results = {variant: {} for variant in variants}
    for variant, seed in track(runs, "Trainings"):
        folder = out / variant / f"seed_{seed}"
        warm = out / "ce" / folder.name if variant in losses else None
        varied = vary(config, variant, losses.get(variant), seed)
        results[variant][seed] = run(varied, folder, warm)
        if variant == variants[-1]:  # the last of a seed
            report(results, out)
            draw_examples(config, variants, seed, out)
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal of ASCII alone has no ±
    print((out / "comparison.md").read_text(encoding="utf-8"))
    print(f"{out} holds the table, its numbers and the figure (comparison.*) and pictures of each")
    print("seed: photo, scribbles, the predictions and the mask (examples_seed_*.png).")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", type=Path, required=True, help="config with a loss over all pixels"
    )
    parser.add_argument(
        "--losses",
        nargs="+",
        metavar="NAME",
        help="of the config's regularized_losses (default: the loss in its loss_decode)",
    )
    parser.add_argument(
        "--seeds", type=at_least(0), nargs="+", default=[0, 1, 2], help="default: 0 1 2"
    )
    parser.add_argument(
        "--out",
        type=output_folder,
        help="folder (default: work_dirs/compare_losses/ and the config's name)",
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        default={},
        help="changes to the config for all trainings, as in tools/train.py: key=value",
    )
    return parser.parse_args(argv)


def losses_to_compare(config: Config, names: list[str] | None) -> dict[str, dict]:
    """The losses over all pixels, by the names of their trainings."""
    if names is None:
        listed = [
            loss for head in heads(config) for loss in losses_of(head) if is_regularized(loss)
        ]
        if not listed:
            raise SystemExit(f"{config.filename} lists no loss over all pixels in loss_decode.")
        name = MODELS.build(listed[0]).loss_name  # the type's own, where the config has none
        return {name.removeprefix("loss_"): listed[0]}
    try:
        return named_losses(config, names)
    except ValueError as error:
        raise SystemExit(f"--losses: {error}.") from None


def heads(config: Config) -> list[ConfigDict]:
    head = config.model.decode_head
    return head if isinstance(head, list) else [head]


def losses_of(head: ConfigDict) -> list[ConfigDict]:
    """The losses of a head; a single one stands in loss_decode by itself, MMSeg's usual form."""
    losses = head.get("loss_decode") or dict(type="CrossEntropyLoss")  # as BaseDecodeHead
    return losses if isinstance(losses, (list, tuple)) else [ConfigDict(losses)]


def is_regularized(loss: ConfigDict) -> bool:
    kind = loss.type if isinstance(loss.type, type) else MODELS.get(loss.type)
    if kind is None:
        raise SystemExit(f"loss_decode names {loss.type}, which is no loss that is registered.")
    return issubclass(kind, RegularizedLoss)


def vary(config: Config, variant: str, loss: dict | None, seed: int) -> Config:
    """The config of one training, with its loss in the place of the config's."""
    config = copy.deepcopy(config)
    config.pop("regularized_losses", None)  # a change to one shall not concern the others
    config.randomness = dict(seed=seed)
    for head in heads(config):
        had_any = any(map(is_regularized, losses_of(head)))
        head.loss_decode = [other for other in losses_of(head) if not is_regularized(other)]
        if had_any and loss is not None:
            head.loss_decode.append(loss)
    if loss is None:
        config.custom_hooks = [
            hook for hook in hooks(config) if type_name(hook) not in HOOKS_OF_THE_LOSS
        ]
    if variant == "mask":
        train_on_masks(config)
    return config


def train_on_masks(config: Config) -> None:
    """Let a config train on the label maps of the folder that it validates on."""
    trained, validated = (inner_dataset(config, split) for split in ("train", "val"))
    own_folder = "seg_map_path" in (trained.get("data_prefix") or {})
    if issubclass(type_of(trained), ScribbleDataset):
        trained.labels = "mask"
    if own_folder:
        trained.data_prefix.seg_map_path = str(label_folder(config, "val").absolute())
    for key in ("ignore_index", "reduce_zero_label", "seg_map_suffix"):  # how its files are read
        trained.pop(key, None)
        if key in validated:
            trained[key] = validated[key]


def masks_to_train_on(config: Config) -> bool:
    """Whether every image to train on has a full mask beside its scribbles."""
    if label_folder(config, "train").resolve() == label_folder(config, "val").resolve():
        return False
    scribbled = data_of(config, "train")
    config = copy.deepcopy(config)
    train_on_masks(config)
    masked = data_of(config, "train")
    # Without a list of ids, the masks to validate on would be among them.
    same = masked.images.keys() == scribbled.images.keys()
    return same and all(masked.maps.path(name).is_file() for name in masked.images)


def look_at_masks(config: Config) -> None:
    """End the tool before the first training if there are masks that cannot be evaluated on."""
    try:
        dataset = DATASETS.build(config.val_dataloader.dataset)
        check_masks(dataset, ignored_by_metric(config, "val"))
    except (DatasetFilesError, DatasetNotFoundError) as error:
        raise SystemExit(str(error)) from None


def hooks(config: Config) -> list[ConfigDict]:
    return config.get("custom_hooks") or []


def type_name(part: ConfigDict) -> str:
    """The name of a type, which a config of MMEngine's new form holds as a class."""
    return getattr(part["type"], "__name__", part["type"])


def run(config: Config, folder: Path, warm: Path | None) -> Result:
    """Train to the end and measure, as far as this has not been done already.

    Where ``warm`` holds the checkpoint at the end of the warm-up, the training begins there.
    """
    finished = folder / "result.json"
    config_file = folder.with_suffix(".py")  # in the folder, MMSeg puts its own copy
    if config_file.exists() and config_file.read_text(encoding="utf-8") != config.pretty_text:
        raise SystemExit(f"{folder} holds a training by another config: name another --out.")
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(config_file, config.pretty_text)
        if warm:
            take_warmup(config, warm, folder)
        train(config_file, folder)
        result = measure(config, folder)
        write_whole(finished, json.dumps(result))
    try:
        return json.loads(finished.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SystemExit(f"{finished} is broken ({error}): remove it to measure again.") from None


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there when it is whole: an interruption leaves none."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def take_warmup(config: Config, warm: Path, folder: Path) -> None:
    iters = {hook["iters"] for hook in hooks(config) if type_name(hook) == WARMUP}
    checkpoint = warm / f"iter_{max(iters, default=0)}.pth"
    pointer = folder / "last_checkpoint"  # where --resume begins
    if is_whole(checkpoint) and not pointer.exists():
        copied = shutil.copy(checkpoint, folder)
        write_whole(pointer, str(Path(copied).absolute()))


def train(config_file: Path, folder: Path) -> None:
    tool = Path(__file__).with_name("train.py")
    command = [sys.executable, tool, config_file, "--work-dir", folder]
    if (folder / "last_checkpoint").exists():
        # With load_from, MMEngine would begin there again.
        command += ["--resume", "--cfg-options", "load_from=None"]
    log = folder / "train.log"
    with log.open("ab") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    if status:
        raise SystemExit(f"The training in {folder} failed; {log} ends with\n{tail(log)}")


def tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def measure(config: Config, folder: Path) -> Result:
    """Evaluate the last checkpoint: all rates in per cent, times in seconds."""
    checkpoint = (folder / "last_checkpoint").read_text(encoding="utf-8").strip()
    try:
        model = load_network(config, checkpoint)
    except CheckpointError as error:
        raise SystemExit(str(error)) from None
    dataset = DATASETS.build(config.val_dataloader.dataset)
    data = data_of(config, "val")
    names = {path: name for name, path in data.images.items()}
    classes = data.classes
    ignored = [UNLABELLED, ignored_by_metric(config, "val")]
    # One confusion matrix for all pixels (None) and one for each trimap; rows are the truth.
    confusion = {width: np.zeros((len(classes),) * 2, int) for width in (None, *TRIMAP_WIDTHS)}
    predictions = folder / "predictions"
    for item in dataset:
        mask = item["data_samples"].gt_sem_seg.numpy().data[0]
        photo = Path(item["data_samples"].img_path)
        sample = inference_model(model, str(photo))
        prediction = sample.pred_sem_seg.cpu().numpy().data[0]
        file = predictions / f"{names[photo]}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_label_png(prediction.astype(np.uint8), file, data.palette)
        distance = distance_to_boundary(mask)
        for width, matrix in confusion.items():
            counted = ~np.isin(mask, ignored) & (distance <= (width or np.inf))
            pairs = mask[counted] * len(classes) + prediction[counted]
            matrix += np.bincount(pairs, minlength=matrix.size).reshape(matrix.shape)
    iou = class_iou(confusion[None])
    return {
        "mIoU": float(np.nanmean(iou)),
        "mAcc": float(np.nanmean(class_accuracy(confusion[None]))),
        "class_IoU": dict(zip(classes, iou.tolist(), strict=True)),
        "trimap_mIoU": {w: float(np.nanmean(class_iou(confusion[w]))) for w in TRIMAP_WIDTHS},
        "seconds_per_iteration": seconds_per_iteration(folder),
    }


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


def class_iou(confusion: np.ndarray) -> np.ndarray:
    """Intersection over union of each class in per cent; NaN for a class that nowhere occurs."""
    intersection = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - intersection
    return 100 * intersection / np.where(union, union, np.nan)


def class_accuracy(confusion: np.ndarray) -> np.ndarray:
    """The share of each class that is found, in per cent; NaN for a class that nowhere occurs."""
    pixels = confusion.sum(1)
    return 100 * np.diag(confusion) / np.where(pixels, pixels, np.nan)


def seconds_per_iteration(folder: Path) -> float:
    """The median over the lines of the training's log; NaN if it was too short for a line."""
    logs = folder.glob("*/vis_data/scalars.json")
    lines = [line for log in logs for line in log.open(encoding="utf-8") if line.endswith("}\n")]
    times = [entry["time"] for entry in map(json.loads, lines) if "loss" in entry]
    return median(times) if times else math.nan


def report(results: Results, out: Path) -> None:
    write_whole(out / "comparison.json", json.dumps(results, indent=1))
    write_whole(out / "comparison.md", "\n".join(table(results)) + "\n")
    draw(results, out / "comparison.png")


def table(results: Results) -> Iterator[str]:
    """Markdown, the mean and the standard deviation over the seeds in each cell."""
    by_variant = {variant: list(runs.values()) for variant, runs in results.items()}
    seeds = list(results["ce"])
    yield f"| seeds {' '.join(map(str, seeds))} | {' | '.join(map(title, results))} |"
    yield "| --- |" + " --- |" * len(results)

    def row(name: str, value: Callable[[Result], float], digits: int = 1) -> str:
        cells = [spread(list(map(value, runs)), digits) for runs in by_variant.values()]
        return f"| {name} | {' | '.join(cells)} |"

    yield row("mIoU", lambda r: r["mIoU"])
    for seed in seeds:
        cells = [f"{runs[seed]['mIoU']:.1f}" for runs in results.values()]
        yield f"| mIoU, seed {seed} | {' | '.join(cells)} |"
    yield f"| share of the gap closed | {' | '.join(gaps_closed(by_variant))} |"
    yield row("mean accuracy by class", lambda r: r["mAcc"])
    for width in TRIMAP_WIDTHS:
        # JSON has made the widths strings.
        name = f"trimap mIoU, {width} px"
        yield row(name, lambda r, width=width: r["trimap_mIoU"][str(width)])
    for name in by_variant["ce"][0]["class_IoU"]:
        yield row(f"IoU {name}", lambda r, name=name: r["class_IoU"][name])
    yield row("seconds per iteration", lambda r: r["seconds_per_iteration"], 3)


def title(variant: str) -> str:
    return TITLES.get(variant, f"+ {variant}")


def spread(values: list[float], digits: int) -> str:
    if np.isnan(values).all():
        return "-"
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean


def gaps_closed(by_variant: dict[str, list[Result]]) -> Iterator[str]:
    """How far each variant comes from cross entropy on scribbles to full masks."""
    mean = {name: np.mean([run["mIoU"] for run in runs]) for name, runs in by_variant.items()}
    gap = mean.get("mask", math.nan) - mean["ce"]
    for name in by_variant:
        among = name not in ("ce", "mask") and gap > 0
        yield f"{(mean[name] - mean['ce']) / gap:.0%}" if among else "-"


def draw(results: Results, path: Path) -> None:
    """The mIoU of each seed, and how it falls towards the boundaries."""
    figure, (whole, trimap) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for column, (variant, runs) in enumerate(results.items()):
        scores = [result["mIoU"] for result in runs.values()]
        whole.bar(column, np.mean(scores), color=f"C{column}", alpha=0.5)
        whole.plot([column] * len(scores), scores, "o", color=f"C{column}")
        bands = [list(result["trimap_mIoU"].values()) for result in runs.values()]
        trimap.plot(TRIMAP_WIDTHS, np.mean(bands, axis=0), "o-", label=title(variant))
    crowded = len(results) > 3
    whole.set_xticks(
        range(len(results)),
        map(title, results),
        rotation=30 if crowded else 0,
        ha="right" if crowded else "center",
    )
    whole.set_ylabel("mIoU, %")
    trimap.set_xscale("log", base=2)
    trimap.set_xticks(TRIMAP_WIDTHS, TRIMAP_WIDTHS)
    trimap.set_xlabel("distance from the boundary, up to, pixels")
    trimap.set_ylabel("mIoU, %")
    trimap.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_examples(config: Config, variants: list[str], seed: int, out: Path) -> None:
    """Photos of the validation set with what each training of the seed makes of them."""
    folders = {title(name): out / name / f"seed_{seed}" / "predictions" for name in variants}
    figure = visualization.draw_examples(config, folders, EXAMPLES)
    figure.savefig(out / f"examples_seed_{seed}.png", dpi=150)


if __name__ == "__main__":
    main()
