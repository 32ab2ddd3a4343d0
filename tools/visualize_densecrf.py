"""Show the regularized loss of predictions: its value, and its gradient for each class present.

    python tools/visualize_densecrf.py CONFIG CHECKPOINT IMAGE ... --out pictures/

draws one figure for each image, or for each one in a folder, by the first such loss of the config.
Several sigmas give a row for each pair of them, to choose bandwidths by looking:

    ... --sigma-rgb 5 15 30 --sigma-xy 20 50 100

Several of the config's `regularized_losses` give a row each:

    ... --losses densecrf dense_energy normalized_cut \
        --labels data/pascal_scribble/pascal_2012_scribble

of which DenseEnergyLoss and SelfLabelLoss look at the labels, NAME.png in a folder.

Without a checkpoint, the predictions can be score maps, as `tools/predict.py --save-scores` writes
them, NAME.npy in a folder, each (classes, height, width) of logits or probabilities:

    python tools/visualize_densecrf.py --scores predictions/scores CONFIG IMAGE ...

The config names the classes, their colours and the loss; without one, they are VOC's and rloss's.

The loss is computed at the size of the image, whose pixels sigma_xy counts.
"""

from __future__ import annotations

if __name__ == "__main__":  # before PyTorch is imported
    from mmseg_tool import wait_asleep

    wait_asleep()

import argparse
import copy
import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.progress import track
from torch import Tensor, nn

import mmseg_rloss  # noqa: F401  # before MMSeg's models, which need it beside mmcv-lite

# isort: split
from mmseg.apis import inference_model
from mmseg.registry import MODELS

from mmseg_rloss.checkpoint import CheckpointError, load_network, palette_of
from mmseg_rloss.command_line import (
    add_label_options,
    finite,
    output_folder,
    positive,
    read_network_config,
    say,
    stop_if_any,
)
from mmseg_rloss.datasets import PascalScribbleDataset
from mmseg_rloss.datasets.config_data import LabelMaps, metainfo_of
from mmseg_rloss.datasets.id_list import IMAGE_SUFFIXES
from mmseg_rloss.datasets.image import reason
from mmseg_rloss.datasets.image_folder import files_by_id
from mmseg_rloss.datasets.label_png import voc_palette
from mmseg_rloss.models import DenseCRFLoss, RegularizedLoss
from mmseg_rloss.models.losses import losses_by_name, named_losses
from mmseg_rloss.ops.energy_layer import EnergyLayer, LatticeLayer
from mmseg_rloss.visualization import draw_densecrf, read_image

VOC_CLASSES = PascalScribbleDataset.METAINFO["classes"]


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    read = functools.partial(SavedScores, args.scores) if args.scores else Network
    source = read(*args.model, names=args.losses)
    losses = [varied for loss in source.losses for varied in vary(loss, args)]
    bad = []
    for name, path in track(args.images.items(), "Drawing"):
        try:
            maps = maps_of(name, path, source, args)
        except (OSError, ValueError) as error:
            bad.append(str(error))
            continue
        try:
            figure = draw_densecrf(
                losses,
                maps.image,
                maps.probabilities,
                torch.ones(maps.image.shape[1:]),
                source.classes(len(maps.probabilities)),
                source.palette,
                maps.labels,
            )
            file = args.out / f"{name}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            figure.savefig(file)
        except (OSError, ValueError) as error:  # The scale may leave no pixel of a small image.
            bad.append(f"{path}: its figure cannot be drawn ({error})")
    say(f"{args.out} holds {len(args.images) - len(bad)} figures.")
    stop_if_any(bad, "images have no figure")


class Maps(NamedTuple):
    """What is drawn of one image."""

    image: Tensor  # (3, H, W)
    probabilities: Tensor  # (K, H, W)
    labels: Tensor | None  # (H, W)


def maps_of(name: str, path: Path, source: Network | SavedScores, args: argparse.Namespace) -> Maps:
    """Read an image and what belongs to it, by its name without suffix.

    Raises:
        OSError, ValueError: One of the files cannot be used.
    """
    image = torch.from_numpy(read_image(path)).permute(2, 0, 1)
    scores = source.scores(name, path)
    if scores.ndim != 3 or not len(scores) or scores.shape[1:] != image.shape[1:]:
        raise ValueError(
            f"The score map of {path} is {tuple(scores.shape)}. It must be "
            f"(classes, {image.shape[1]}, {image.shape[2]}): resize it to the image."
        )
    if not torch.isfinite(scores).all():
        raise ValueError(f"The score map of {path} has values that are not finite.")
    labels = read_labels(args, name, image) if args.labels else None
    return Maps(image.to(scores.device), to_probabilities(scores), labels)


class Network:
    """Predicts by a checkpoint; the parameters of the loss are its config's."""

    def __init__(self, config: str, checkpoint: str, names: list[str] | None) -> None:
        try:
            self._model = load_network(read_network_config(config), checkpoint)
        except CheckpointError as error:
            raise SystemExit(str(error)) from None
        self.palette = palette_of(self._model)
        self._classes = self._model.dataset_meta.get("classes") or ()
        self.losses = layers(config, names, self._model)

    def classes(self, count: int) -> Sequence[str]:
        """Their names."""
        return self._classes if len(self._classes) == count else names_of(count)

    def scores(self, name: str, path: Path) -> Tensor:
        """(K, H, W)"""
        try:
            return inference_model(self._model, str(path)).seg_logits.data
        except Exception as error:  # The image may be too large, or not what the config loads.
            raise ValueError(f"{path}: {reason(error)}") from error


class SavedScores:
    """Reads score maps; a config, if any, gives the classes and the loss."""

    def __init__(self, folder: Path, config: str | None = None, *, names: list[str] | None) -> None:
        self._folder = folder
        self._classes: Sequence[str] = ()
        self.palette = voc_palette()
        self.losses = [DenseCRFLoss().layer]
        if config:
            contents = read_network_config(config)
            if metainfo := metainfo_of(contents):
                self._classes, own = metainfo
                self.palette[: len(own)] = own
            self.losses = layers(config, names, build_network(contents))

    def classes(self, count: int) -> Sequence[str]:
        """Their names: the config's, or as a map of so many classes suggests."""
        return self._classes if len(self._classes) == count else names_of(count)

    def scores(self, name: str, path: Path) -> Tensor:
        """(K, H, W)"""
        file = self._folder / f"{name}.npy"
        if not file.is_file():
            raise ValueError(f"{path} needs its score map {file}.")
        try:
            scores = torch.from_numpy(np.load(file))
            if scores.is_complex():
                raise TypeError("its numbers are complex")
            return scores.float()
        except Exception as error:  # NumPy parses the header as Python, and has all its errors.
            raise ValueError(f"{file} is not a score map ({reason(error)})") from error


def names_of(count: int) -> list[str]:
    if count == len(VOC_CLASSES):
        return VOC_CLASSES
    return [f"class {label}" for label in range(count)]


def read_labels(args: argparse.Namespace, name: str, image: Tensor) -> Tensor:
    """(H, W) of the image."""
    maps = LabelMaps(args.labels, ".png", args.ignore_index, args.reduce_zero_label)
    try:
        labels, _ = maps.read(name, tuple(image.shape[1:]))
    except (OSError, ValueError) as error:
        raise ValueError(f"--labels: {error}") from None
    return torch.from_numpy(labels)


def to_probabilities(scores: Tensor) -> Tensor:
    """(K, H, W) of logits or probabilities; of one class, it and the background make two."""
    if len(scores) == 1:
        if scores.min() < 0 or scores.max() > 1:  # MMSegmentation passes them through a sigmoid.
            scores = scores.sigmoid()
        return torch.cat([1 - scores, scores])
    if scores.min() >= 0 and torch.allclose(scores.sum(0), scores.new_ones(()), atol=1e-2):
        return scores
    return scores.softmax(0)


def build_network(config: Config) -> nn.Module:
    """The network of a config, of any weights."""
    init_default_scope("mmseg")
    try:
        return MODELS.build(config.model)
    except Exception as error:  # The parts of a network have their own types.
        message = f"The network of {config.filename} cannot be built ({reason(error)})"
        raise SystemExit(message) from None


def layers(config: str, names: list[str] | None, network: nn.Module) -> list[EnergyLayer]:
    """The losses that are named, or else the network's first one, or else rloss's."""
    if names:
        losses = named(config, names)
    else:
        losses = [*losses_by_name(network).values(), DenseCRFLoss()][:1]
    return [loss.layer for loss in losses]


def named(config: str, names: list[str]) -> list[RegularizedLoss]:
    try:
        return [
            MODELS.build(loss) for loss in named_losses(read_network_config(config), names).values()
        ]
    except ValueError as error:
        raise SystemExit(f"--losses: {error}.") from None


def vary(loss: EnergyLayer, args: argparse.Namespace) -> list[EnergyLayer]:
    """The loss with each pair of the sigmas asked for, of those it has."""
    names = ["sigma_rgb", "sigma_xy"] if isinstance(loss, LatticeLayer) else ["sigma_rgb"]
    losses = []
    for sigmas in itertools.product(
        *(getattr(args, name) or [getattr(loss, name)] for name in names)
    ):
        varied = copy.copy(loss)
        for name, sigma in zip(names, sigmas, strict=True):
            setattr(varied, name, sigma)
        varied.weight = loss.weight if args.weight is None else args.weight
        if args.scale_factor is not None:
            varied.scale_factor = args.scale_factor
        losses.append(varied)
    return losses


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s CONFIG CHECKPOINT IMAGE ... [options]\n"
        "       %(prog)s --scores FOLDER [CONFIG] IMAGE ... [options]",
    )
    parser.add_argument(
        "inputs", nargs="+", help="config, checkpoint, and images or folders; or just those"
    )
    parser.add_argument("--scores", type=Path, metavar="FOLDER", help="of saved score maps")
    parser.add_argument(
        "--out",
        type=output_folder,
        default=Path("densecrf"),
        help="folder for the figures (%(default)s)",
    )
    parser.add_argument(
        "--losses",
        nargs="+",
        metavar="NAME",
        help="of the config's regularized_losses (default: the first loss in its loss_decode)",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FOLDER",
        help="of label maps, for DenseEnergyLoss and SelfLabelLoss (default: no pixel is labelled)",
    )
    add_label_options(parser, "label maps")
    own = "default: the config's, or rloss's"
    parser.add_argument("--sigma-rgb", type=positive, nargs="+", help=f"in grey levels ({own})")
    parser.add_argument("--sigma-xy", type=positive, nargs="+", help=f"in pixels ({own})")
    parser.add_argument("--scale-factor", type=positive, help=f"above 0, at most 1 ({own})")
    parser.add_argument("--weight", type=finite, help=f"factor of the loss ({own})")
    args = parser.parse_args(argv)
    if args.scale_factor and args.scale_factor > 1:
        parser.error(f"argument --scale-factor: must be at most 1, got {args.scale_factor}")
    args.model = args.inputs[:2]
    if args.scores:  # which stand for the checkpoint
        args.model = [path for path in args.inputs[:1] if path.endswith(".py")]
        if args.losses and not args.model:
            parser.error("--losses names losses of a config: name it before the images")
    paths = [Path(image) for image in args.inputs[len(args.model) :]]
    if not paths:
        parser.error("name at least one image, after the config and the checkpoint")
    if absent := [str(path) for path in paths if not (path.is_file() or path.is_dir())]:
        parser.error(f"no such image: {', '.join(absent)}")
    args.images = {}
    for name, image in images_of(paths):
        if args.images.setdefault(name, image) != image:
            parser.error(
                f"{args.images[name]} and {image} would share a figure: call the tool for each "
                "folder, or rename one"
            )
    if not args.images:
        parser.error(f"no image ({' '.join(IMAGE_SUFFIXES)}) in the folders that were named")
    figures = {(args.out / f"{name}.png").resolve() for name in args.images}
    inputs = [*args.images.values(), *(args.labels.rglob("*.png") if args.labels else [])]
    if over := [str(path) for path in inputs if path.resolve() in figures]:
        parser.error(f"--out would write a figure over {', '.join(over)}: name another folder")
    return args


def images_of(paths: list[Path]) -> Iterator[tuple[str, Path]]:
    """Each image, and those of the folders, by its name without suffix, within the folder."""
    for path in paths:
        if path.is_dir():
            for name, found in files_by_id(path).items():
                yield from ((name, image) for image in found)
        else:
            yield path.stem, path


if __name__ == "__main__":
    main()
