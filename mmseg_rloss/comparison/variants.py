"""The configs of the trainings that are compared: one config with other losses and labels."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from mmengine.config import Config, ConfigDict
from mmseg.registry import DATASETS, MODELS

from ..datasets import ScribbleDataset
from ..datasets.config_data import (
    data_of,
    ignored_by_metric,
    inner_dataset,
    label_folder,
    type_of,
)
from ..datasets.own_data import check_masks
from ..models.losses import RegularizedLoss, named_losses

CROSS_ENTROPY, MASK = "ce", "mask"  # the trainings without a regularized loss
WARMUP = "RegularizedLossWarmupHook"
HOOKS_OF_THE_LOSS = ("ProvideImagesHook", "DenseCRFVisualizationHook", WARMUP)


class ComparisonError(Exception):
    """A comparison cannot begin or go on; the message says why and what to do."""


def losses_to_compare(config: Config, names: list[str] | None) -> dict[str, dict]:
    """The regularized losses, by the names of their trainings.

    Args:
        config: Of a network, which lists such losses in ``loss_decode`` or `regularized_losses`.
        names: Of the latter; None for the first in ``loss_decode``.

    Raises:
        ComparisonError: There are none, a name is unknown, or it is that of another training.
    """
    if names is None:
        listed = [
            loss for head in heads(config) for loss in losses_of(head) if is_regularized(loss)
        ]
        if not listed:
            raise ComparisonError(f"{config.filename} lists no regularized loss in loss_decode.")
        name = MODELS.build(listed[0]).loss_name  # the type's own, where the config has none
        losses = {name.removeprefix("loss_"): listed[0]}
    else:
        try:
            losses = named_losses(config, names)
        except ValueError as error:
            raise ComparisonError(f"--losses: {error}.") from None
    if taken := {CROSS_ENTROPY, MASK} & losses.keys():
        raise ComparisonError(
            f"{taken.pop()} names a training without the losses: rename the loss."
        )
    return losses


def heads(config: Config) -> list[ConfigDict]:
    head = config.model.decode_head
    return head if isinstance(head, list) else [head]


def losses_of(head: ConfigDict) -> Sequence[ConfigDict]:
    """The losses of a head; loss_decode may be a single one, MMSeg's usual form."""
    losses = head.get("loss_decode") or dict(type="CrossEntropyLoss")  # as BaseDecodeHead
    return losses if isinstance(losses, (list, tuple)) else [ConfigDict(losses)]


def is_regularized(loss: ConfigDict) -> bool:
    kind = loss.type if isinstance(loss.type, type) else MODELS.get(loss.type)
    if kind is None:
        raise ComparisonError(f"loss_decode names {loss.type}, which is not a registered loss.")
    return issubclass(kind, RegularizedLoss)


def vary(config: Config, variant: str, loss: dict | None, seed: int) -> Config:
    """The config of one training, with its loss instead of the config's."""
    config = copy.deepcopy(config)
    config.pop("regularized_losses", None)  # a change to one must not affect the others
    config.randomness = dict(seed=seed)
    for head in heads(config):
        had_any = any(map(is_regularized, losses_of(head)))
        head.loss_decode = [other for other in losses_of(head) if not is_regularized(other)]
        if had_any and loss is not None:
            head.loss_decode.insert(0, loss)  # ahead of what waits for the device: docs/gpu.md
    if loss is None:
        config.custom_hooks = [
            hook for hook in hooks(config) if type_name(hook) not in HOOKS_OF_THE_LOSS
        ]
    if variant == MASK:
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
    """Check the masks to evaluate on, before the first training.

    Raises:
        DatasetFilesError, DatasetNotFoundError: Some cannot be used, or they are not there.
    """
    check_masks(DATASETS.build(config.val_dataloader.dataset), ignored_by_metric(config, "val"))


def hooks(config: Config) -> list[ConfigDict]:
    return config.get("custom_hooks") or []


def type_name(part: ConfigDict) -> str:
    """The name of a type, which a config of MMEngine's new form holds as a class."""
    return getattr(part["type"], "__name__", part["type"])
