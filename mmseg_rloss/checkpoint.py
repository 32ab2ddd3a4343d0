"""Checkpoints that are whole, and fit the network that they are loaded into."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import CheckpointLoader
from mmseg.apis import init_model
from torch import nn

from .datasets.config_data import metainfo_of
from .datasets.image import reason
from .datasets.label_png import voc_palette

PREDICTING_PARTS = ("backbone", "neck", "decode_head")


class CheckpointError(ValueError):
    """A checkpoint is missing, broken, or of another network."""


def is_whole(path: str | Path) -> bool:
    """Whether a checkpoint that this PyTorch has written was written to the end.

    Its table of contents comes last.
    """
    return Path(path).is_file() and zipfile.is_zipfile(path)


def load_network(config: str | Config, checkpoint: str) -> nn.Module:
    """Build a network of MMSeg and load its weights, on the GPU if there is one.

    Raises:
        CheckpointError: It is missing, truncated, not of a training by MMSeg, or not of this
            network; or the config describes no network.
    """
    contents = read_checkpoint(checkpoint)
    if "meta" not in contents:
        raise CheckpointError(
            f"{checkpoint} holds weights without meta: it is not the checkpoint of a training by "
            "MMSegmentation"
        )
    try:
        model = init_model(config, checkpoint, device=get_device())
    except Exception as error:  # The parts of a network have their own types.
        name = getattr(config, "filename", config)
        raise CheckpointError(f"The network of {name} cannot be built ({reason(error)})") from error
    check_fits(model, contents, checkpoint)
    if not (contents["meta"].get("dataset_meta") or {}).get("classes"):
        # init_model takes those of any public data set with as many.
        named = metainfo_of(model.cfg)
        if named and len(named[0]) == model.num_classes:
            model.dataset_meta = dict(classes=named[0], palette=named[1].tolist())
    return model


def palette_of(model: Any) -> np.ndarray:
    """The colours of a network's classes, uint8 (K, 3), RGB.

    They are its checkpoint's, or else its config's, or else VOC's.
    """
    classes = max(2, model.num_classes)
    own = np.array(model.dataset_meta.get("palette") or np.empty((0, 3)), dtype=np.uint8)
    return own if len(own) >= classes else voc_palette()[:classes]


def read_checkpoint(checkpoint: str) -> dict[str, Any]:
    """What a checkpoint holds.

    Raises:
        CheckpointError: It is missing, truncated, or not a checkpoint.
    """
    try:
        contents = CheckpointLoader.load_checkpoint(checkpoint, map_location="cpu")
    except Exception as error:  # Pickle, zip and PyTorch have their own types.
        raise CheckpointError(f"{checkpoint} cannot be loaded ({reason(error)})") from error
    if not isinstance(contents, dict):
        raise CheckpointError(f"{checkpoint} holds no weights, but a {type(contents).__name__}")
    return contents


def check_fits(model: nn.Module, contents: dict[str, Any], checkpoint: str) -> None:
    """Check that a checkpoint has the parameters for prediction; warn if a few are missing.

    MMEngine leaves those that do not fit at random values, and says so only in its log.

    Raises:
        CheckpointError: Most of a part of the network is absent or of another shape, or a parameter
            is not finite.
    """
    weights = contents.get("state_dict", contents)
    parameters = {name for name, _ in model.named_parameters()}  # masks are buffers, and infinite
    diverged = [
        name
        for name, value in weights.items()
        if name.removeprefix("module.") in parameters and not is_finite(value)
    ]
    if diverged:
        raise CheckpointError(
            f"{checkpoint}: {len(diverged)} parameters are not finite, such as {diverged[0]}: the "
            "training diverged"
        )
    shapes = {
        name.removeprefix("module."): getattr(value, "shape", None)
        for name, value in weights.items()
    }
    fits: dict[str, list[bool]] = {part: [] for part in PREDICTING_PARTS}
    for name, value in model.state_dict().items():
        part = name.partition(".")[0]
        if part in fits and not name.endswith("num_batches_tracked"):
            fits[part].append(shapes.get(name) == value.shape)
    amiss = {part: (fit.count(False), len(fit)) for part, fit in fits.items() if not all(fit)}
    if not amiss:
        return
    counts = ", ".join(f"{bad} of {total} of the {part}" for part, (bad, total) in amiss.items())
    message = (
        f"{checkpoint} lacks parameters of the network, or has others in their place: {counts}"
    )
    if any(2 * bad > total for bad, total in amiss.values()):
        raise CheckpointError(f"{message}. It is of another network: name that of this config")
    warnings.warn(f"{message}. They stay random", stacklevel=2)


def is_finite(value: Any) -> bool:
    """Whether a value is free of NaN and infinity, as anything but a tensor of floats is."""
    floating = isinstance(value, torch.Tensor) and value.is_floating_point()
    return not floating or bool(torch.isfinite(value).all())
