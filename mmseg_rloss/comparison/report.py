"""The results of a comparison: a table, a figure, and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mmengine.config import Config

from .. import visualization
from .scores import TRIMAP_WIDTHS, Result
from .training import write_whole
from .variants import CROSS_ENTROPY, MASK

TITLES = {
    CROSS_ENTROPY: "cross entropy",
    "densecrf": "+ DenseCRF",
    "normalized": "+ DenseCRF, normalized",
    "dense_energy": "+ dense energy",
    "normalized_cut": "+ normalized cut",
    "kernel_cut": "+ kernel cut",
    "self_label": "+ self-labelling",
    MASK: "full masks",
}
EXAMPLES = 4  # validation images to draw

Results = dict[str, dict[int, Result]]  # by variant and seed


def report(results: Results, out: Path) -> None:
    """Write the numbers, the table and the figure: comparison.json, .md and .png."""
    write_whole(out / "comparison.json", json.dumps(results, indent=1))
    write_whole(out / "comparison.md", "\n".join(table(results)) + "\n")
    draw(results, out / "comparison.png")


def table(results: Results) -> Iterator[str]:
    """Markdown, the mean and the standard deviation over the seeds in each cell."""
    by_variant = {variant: list(runs.values()) for variant, runs in results.items()}
    seeds = list(results[CROSS_ENTROPY])
    yield f"| seeds {' '.join(map(str, seeds))} | {' | '.join(map(title, results))} |"
    yield "| --- |" + " --- |" * len(results)

    def row(name: str, *keys: str, digits: int = 1) -> str:
        values = ([rate(run, *keys) for run in runs] for runs in by_variant.values())
        return f"| {name} | {' | '.join(spread(of_variant, digits) for of_variant in values)} |"

    yield row("mIoU", "mIoU")
    for seed in seeds:
        cells = [f"{runs[seed]['mIoU']:.1f}" for runs in results.values()]
        yield f"| mIoU, seed {seed} | {' | '.join(cells)} |"
    yield f"| share of the gap closed | {' | '.join(gaps_closed(by_variant))} |"
    yield row("mean accuracy by class", "mAcc")
    for width in map(str, TRIMAP_WIDTHS):  # as JSON has them
        yield row(f"trimap mIoU, {width} px", "trimap_mIoU", width)
    for name in by_variant[CROSS_ENTROPY][0]["class_IoU"]:
        yield row(f"IoU {name}", "class_IoU", name)
    yield row("seconds per iteration", "seconds_per_iteration", digits=3)


def rate(run: Any, *keys: str) -> float:
    """The value of a result under nested keys."""
    for key in keys:
        run = run[key]
    return run


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
    gap = mean.get(MASK, math.nan) - mean[CROSS_ENTROPY]
    for name in by_variant:
        among = name not in (CROSS_ENTROPY, MASK) and gap > 0
        yield f"{(mean[name] - mean['ce']) / gap:.0%}" if among else "-"


def draw(results: Results, path: Path) -> None:
    """The mIoU of each seed, and how it falls towards the boundaries."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    whole, trimap = figure.subplots(1, 2)
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


def draw_examples(config: Config, variants: list[str], seed: int, out: Path) -> None:
    """Images of the validation set with what each training of the seed makes of them."""
    folders = {title(name): out / name / f"seed_{seed}" / "predictions" for name in variants}
    figure = visualization.draw_examples(config, folders, EXAMPLES)
    figure.savefig(out / f"examples_seed_{seed}.png", dpi=150)
