"""Train from scribbles with cross entropy alone and with DenseCRF, and from full masks; compare.

The three trainings follow one config, which lists a DenseCRFLoss and trains a
PascalScribbleDataset; only the losses and the labels differ. The table tells the mean and the
standard deviation over the seeds; the figure shows each seed. A call that was stopped goes on where
it was, and what is finished is not trained again.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from mmengine.config import Config, DictAction
from PIL import Image
from rich.progress import track

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed
import mmseg_rloss  # noqa: F401  # before MMSeg's models, which need it beside mmcv-lite

# isort: split
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmseg.apis import inference_model, init_model
from mmseg.registry import DATASETS

from mmseg_rloss.datasets.label_png import write_label_png
from mmseg_rloss.datasets.pascal_scribble import LABEL_FOLDERS

VARIANTS = {"ce": "cross entropy", "densecrf": "+ DenseCRF", "mask": "full masks"}
TRIMAP_WIDTHS = (2, 4, 8, 16)  # pixels to either side of a boundary
IGNORED = 255
EXAMPLES = 4  # validation photos to draw

Result = dict[str, Any]  # what `measure` returns
Results = dict[str, dict[int, Result]]  # by variant and seed


def main() -> None:
    args = parse_args()
    out = args.out or Path("work_dirs") / "compare_losses" / args.config.stem
    runs = [(variant, seed) for seed in args.seeds for variant in VARIANTS]
    results: Results = {variant: {} for variant in VARIANTS}
    init_default_scope("mmseg")
    for variant, seed in track(runs, "Trainings"):
        config = Config.fromfile(args.config)
        config.merge_from_dict(args.cfg_options)
        folder = out / variant / f"seed_{seed}"
        results[variant][seed] = run(vary(config, variant, seed), folder)
        if seed in results["mask"]:  # the last of a seed
            report(results, out)
            draw_examples(config, seed, out)
    print((out / "comparison.md").read_text())
    print(f"{out} holds the table, its numbers and the figure (comparison.*) and pictures of each")
    print("seed: photo, scribbles, the three predictions and the mask (examples_seed_*.png).")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True, help="config with a DenseCRFLoss")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument(
        "--out", type=Path, help="folder (default: work_dirs/compare_losses/ and the config's name)"
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        default={},
        help="changes to the config for all trainings, as in tools/train.py: key=value",
    )
    return parser.parse_args()


def vary(config: Config, variant: str, seed: int) -> Config:
    """The config of one training."""
    config.randomness = dict(seed=seed)
    if variant == "densecrf":
        return config
    heads = config.model.decode_head
    for head in heads if isinstance(heads, list) else [heads]:
        losses = head.loss_decode
        head.loss_decode = [loss for loss in losses if loss.type != "DenseCRFLoss"]
    config.custom_hooks = [hook for hook in config.custom_hooks if hook.type != "ProvideImagesHook"]
    if variant == "mask":
        config.train_dataloader.dataset.labels = "mask"
    return config


def run(config: Config, folder: Path) -> Result:
    """Train to the end and measure, as far as this has not been done already."""
    finished = folder / "result.json"
    config_file = folder.with_suffix(".py")  # in the folder, MMSeg puts its own copy
    if config_file.exists() and config_file.read_text() != config.pretty_text:
        raise SystemExit(f"{folder} holds a training by another config: name another --out.")
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        config_file.write_text(config.pretty_text)
        train(config_file, folder)
        result = measure(config, folder)
        unfinished = finished.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(result))
        unfinished.rename(finished)
    return json.loads(finished.read_text())


def train(config_file: Path, folder: Path) -> None:
    tool = Path(__file__).with_name("train.py")
    command = [sys.executable, tool, config_file, "--work-dir", folder, "--resume"]
    log = folder / "train.log"
    with log.open("a") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    if status:
        raise SystemExit(f"The training in {folder} failed; {log} ends with\n{tail(log)}")


def tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text().splitlines()[-lines:])


def measure(config: Config, folder: Path) -> Result:
    """Evaluate the last checkpoint: all rates in per cent, times in seconds."""
    checkpoint = (folder / "last_checkpoint").read_text().strip()
    model = init_model(config, checkpoint, device=get_device())
    dataset = DATASETS.build(config.val_dataloader.dataset)
    classes = dataset.metainfo["classes"]
    palette = np.array(dataset.metainfo["palette"], dtype=np.uint8)
    # One confusion matrix for all pixels (None) and one for each trimap; rows are the truth.
    confusion = {width: np.zeros((len(classes),) * 2, int) for width in (None, *TRIMAP_WIDTHS)}
    predictions = folder / "predictions"
    predictions.mkdir(exist_ok=True)
    for item in dataset:
        mask = item["data_samples"].gt_sem_seg.numpy().data[0]
        photo = Path(item["data_samples"].img_path)
        sample = inference_model(model, str(photo))
        prediction = sample.pred_sem_seg.cpu().numpy().data[0]
        write_label_png(
            prediction.astype(np.uint8), predictions / f"{photo.stem}.png", palette=palette
        )
        distance = distance_to_boundary(mask)
        for width, matrix in confusion.items():
            counted = (mask != IGNORED) & (distance <= (width or np.inf))
            pairs = mask[counted] * len(classes) + prediction[counted]
            matrix += np.bincount(pairs, minlength=matrix.size).reshape(matrix.shape)
    iou = class_iou(confusion[None])
    return {
        "mIoU": float(np.nanmean(iou)),
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


def seconds_per_iteration(folder: Path) -> float:
    """The median over the lines of the training's log."""
    lines = [line for log in folder.glob("*/vis_data/scalars.json") for line in log.open()]
    return median(entry["time"] for entry in map(json.loads, lines) if "loss" in entry)


def report(results: Results, out: Path) -> None:
    (out / "comparison.json").write_text(json.dumps(results, indent=1))
    (out / "comparison.md").write_text("\n".join(table(results)) + "\n")
    draw(results, out / "comparison.png")


def table(results: Results) -> Iterator[str]:
    """Markdown, the mean and the standard deviation over the seeds in each cell."""
    by_variant = {variant: list(runs.values()) for variant, runs in results.items()}
    classes = by_variant["ce"][0]["class_IoU"]
    seeds = " ".join(str(seed) for seed in results["mask"])
    yield f"| seeds {seeds} | {' | '.join(VARIANTS.values())} |"
    yield "| --- |" + " --- |" * len(VARIANTS)

    def row(name: str, value: Any, digits: int = 1) -> str:
        cells = [spread([value(r) for r in by_variant[v]], digits) for v in VARIANTS]
        return f"| {name} | {' | '.join(cells)} |"

    yield row("mIoU", lambda r: r["mIoU"])
    for width in TRIMAP_WIDTHS:
        # JSON has made the widths strings.
        name = f"trimap mIoU, {width} px"
        yield row(name, lambda r, width=width: r["trimap_mIoU"][str(width)])
    for name in classes:
        yield row(f"IoU {name}", lambda r, name=name: r["class_IoU"][name])
    yield row("seconds per iteration", lambda r: r["seconds_per_iteration"], 3)
    yield ""
    yield f"Share of the gap between cross entropy and full masks closed: {gap_closed(results)}."


def spread(values: list[float], digits: int) -> str:
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean


def gap_closed(results: Results) -> str:
    ce, densecrf, mask = (np.mean([r["mIoU"] for r in results[v].values()]) for v in VARIANTS)
    return f"{(densecrf - ce) / (mask - ce):.0%}" if mask > ce else "none to close"


def draw(results: Results, path: Path) -> None:
    """The mIoU of each seed, and how it falls towards the boundaries."""
    figure, (whole, trimap) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for column, (variant, name) in enumerate(VARIANTS.items()):
        scores = [result["mIoU"] for result in results[variant].values()]
        whole.bar(column, np.mean(scores), color=f"C{column}", alpha=0.5)
        whole.plot([column] * len(scores), scores, "o", color=f"C{column}")
        bands = [list(result["trimap_mIoU"].values()) for result in results[variant].values()]
        trimap.plot(TRIMAP_WIDTHS, np.mean(bands, axis=0), "o-", label=name)
    whole.set_xticks(range(len(VARIANTS)), VARIANTS.values())
    whole.set_ylabel("mIoU, %")
    trimap.set_xscale("log", base=2)
    trimap.set_xticks(TRIMAP_WIDTHS, TRIMAP_WIDTHS)
    trimap.set_xlabel("distance from the boundary, up to, pixels")
    trimap.set_ylabel("mIoU, %")
    trimap.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_examples(config: Config, seed: int, out: Path) -> None:
    """Photos of the validation set with what each training of the seed makes of them."""
    dataset = DATASETS.build(config.val_dataloader.dataset)
    chosen = np.linspace(0, len(dataset) - 1, min(EXAMPLES, len(dataset)), dtype=int)
    rows = []
    for info in map(dataset.get_data_info, chosen.tolist()):
        photo, mask = Path(info["img_path"]), Path(info["seg_map_path"])
        pictures = {
            "photo": photo,
            "scribbles": mask.parents[1] / LABEL_FOLDERS["scribble"] / mask.name,
        }
        for variant, name in VARIANTS.items():
            pictures[name] = out / variant / f"seed_{seed}" / "predictions" / mask.name
        rows.append({**pictures, "mask": mask})
    size = (2 * len(rows[0]), 1.7 * len(rows))
    figure, axes = plt.subplots(
        len(rows), len(rows[0]), figsize=size, layout="constrained", squeeze=False
    )
    for axis, name in zip(axes[0], rows[0], strict=True):
        axis.set_title(name)
    for row, pictures in zip(axes, rows, strict=True):
        for axis, path in zip(row, pictures.values(), strict=True):
            axis.axis("off")
            if path.exists():  # scribbles of validation photos are not part of PASCAL
                axis.imshow(Image.open(path).convert("RGB"))
    figure.savefig(out / f"examples_seed_{seed}.png", dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
