"""Checks on the first batch whether the weight of a plain energy fits its images."""

from __future__ import annotations

from typing import TypeGuard

import torch
from mmseg.models.losses import CrossEntropyLoss
from torch import nn

from ..ops import DenseCRFLoss, DenseEnergyLoss, Scene
from ..ops.energy_layer import EnergyLayer, LatticeLayer
from .losses import RegularizedLoss

# Of rloss's setting: its weight beside a cross entropy of weight 1, times the pixels of the scaled
# crop, times the affinity of one to all, as docs/parameters.md has them.
PUBLISHED_STRENGTH = 1.5e-9 * 12 * 65_536 * 760
FAR = 10  # times stronger or weaker; twice is still of the same strength


def doubt_about_weight(name: str, loss: RegularizedLoss, head: nn.Module) -> str | None:
    """The message for a weight that is far from the published one, converted to these images.

    Args:
        name: Of the loss, as ``named_modules`` has it.
        loss: Provided with a batch.
        head: Whose loss it is: its cross entropy is what the energy is weighed against.

    Returns:
        None where the weight fits, the energy needs no such weight, or nothing is known of the
        cross entropy.
    """
    layer, scene = loss.layer, loss.scene
    weight = cross_entropy_weight(head)
    if scene is None or not (is_plain(layer) and layer.weight > 0 and weight > 0):
        return None
    strength = strength_of(scene, layer)
    if strength == 0:
        return None
    fitting = PUBLISHED_STRENGTH * weight / strength
    ratio = layer.weight / fitting
    if 1 / FAR <= ratio <= FAR:
        return None
    kind = type(loss).__name__
    much = f"{ratio:,.0f} times stronger" if ratio > 1 else f"{1 / ratio:,.0f} times weaker"
    remedy = f"loss_weight={fitting:.2g} is as strong as published"
    if isinstance(layer, DenseCRFLoss):
        remedy += ", and normalize=True with loss_weight=1.5 fits any crop"
    return (
        f"The {kind} {name} has loss_weight={layer.weight:g}: for these images, {much} than the "
        f"published setting. {remedy} (docs/parameters.md)"
    )


def is_plain(layer: EnergyLayer) -> TypeGuard[LatticeLayer]:
    """Whether an energy grows with the number of pixels and their affinities."""
    plain = isinstance(layer, DenseCRFLoss) and not layer.normalize
    return plain or isinstance(layer, DenseEnergyLoss)


def cross_entropy_weight(head: nn.Module) -> float:
    """The weight of a head's cross entropies that are averaged over the labelled pixels."""
    return sum(
        float(module.loss_weight)
        for module in head.modules()
        if isinstance(module, CrossEntropyLoss) and module.avg_non_ignore
    )


@torch.no_grad()
def strength_of(scene: Scene, layer: LatticeLayer) -> float:
    """The pixels of the scaled images times the mean affinity of one to all within the region."""
    lattice = scene.lattice(*layer.bandwidths)
    region = scene.region(layer.scale_factor, scene.image(layer.scale_factor)).unsqueeze(1)
    return (region * lattice.filter(region)).sum().item() / max(1, len(scene))
