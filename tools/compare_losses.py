"""Train from scribbles by cross entropy alone and with regularized losses, and from full masks.

The trainings follow one config, which lists such a loss; only the losses and the labels differ. The
full masks are those of the folder to validate on; where images to train on have none, that training
is left out. The table gives the mean and the standard deviation over the seeds; the figure shows
each seed. An interrupted comparison resumes where it stopped, and trains nothing twice.

    ... --losses densecrf normalized dense_energy

compares several losses of the config's `regularized_losses`, by name. Where the config warms up
(RegularizedLossWarmupHook), they all start from the checkpoint that cross entropy alone left at the
end of the warm-up.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from rich.progress import track

from mmseg_rloss.checkpoint import CheckpointError
from mmseg_rloss.command_line import at_least, output_folder, read_network_config, say
from mmseg_rloss.comparison.report import Results, draw_examples, report
from mmseg_rloss.comparison.training import run
from mmseg_rloss.comparison.variants import (
    CROSS_ENTROPY,
    MASK,
    ComparisonError,
    look_at_masks,
    losses_to_compare,
    masks_to_train_on,
    vary,
)
from mmseg_rloss.datasets import DatasetFilesError, DatasetNotFoundError


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    out = args.out or Path("work_dirs") / "compare_losses" / args.config.stem
    try:
        compare(args, out)
    except (ComparisonError, CheckpointError, DatasetFilesError, DatasetNotFoundError) as error:
        raise SystemExit(str(error)) from None
    sys.stdout.reconfigure(errors="backslashreplace")  # a terminal of ASCII alone has no ±
    print((out / "comparison.md").read_text(encoding="utf-8"))
    print(f"{out} holds the table, its numbers and the figure (comparison.*) and pictures of each")
    print("seed: image, scribbles, the predictions and the mask (examples_seed_*.png).")


def compare(args: argparse.Namespace, out: Path) -> None:
    """Train every variant with every seed, and report after each seed."""
    config = read_network_config(args.config, args.cfg_options)
    init_default_scope("mmseg")
    losses = losses_to_compare(config, args.losses)
    variants = [CROSS_ENTROPY, *losses]
    look_at_masks(config)
    if masks_to_train_on(config):
        variants.append(MASK)
    else:
        say("Not all images to train on have a full mask: that training is left out.")
    runs = [(variant, seed) for seed in args.seeds for variant in variants]
    results: Results = {variant: {} for variant in variants}
    for variant, seed in track(runs, "Trainings"):
        folder = out / variant / f"seed_{seed}"
        warm = out / CROSS_ENTROPY / folder.name if variant in losses else None
        varied = vary(config, variant, losses.get(variant), seed)
        results[variant][seed] = run(varied, folder, warm)
        if variant == variants[-1]:  # the last of a seed
            report(results, out)
            draw_examples(config, variants, seed, out)


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True, help="config with a regularized loss")
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


if __name__ == "__main__":
    main()
