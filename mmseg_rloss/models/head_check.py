"""Tells, before training, which heads would never use a DenseCRFLoss in their ``loss_decode``."""

from __future__ import annotations

from mmseg.models.decode_heads import DDRHead, PIDHead, PointHead, SideAdapterCLIPHead
from torch import nn

from .losses import DenseCRFLoss

_ELSEWHERE = "list it in loss_decode of an auxiliary head that predicts maps, such as FCNHead"
_UNUSABLE = {
    DDRHead: f"calls its first two losses alone: {_ELSEWHERE}",
    PIDHead: f"calls its first four losses alone: {_ELSEWHERE}",
    PointHead: "computes its losses on sampled points: list it in the head before this one",
    SideAdapterCLIPHead: "computes its losses on masks of queries, not on maps of classes; there "
    "is no way to use DenseCRFLoss with it",
}


def check_heads(segmentor: nn.Module) -> None:
    """Refuse a DenseCRFLoss in a head of MMSeg that is known not to use it.

    Raises:
        ValueError: Naming the head and the way out.
    """
    for name, module in segmentor.named_modules():
        for head, reason in _UNUSABLE.items():
            if isinstance(module, head) and losses_by_name(module):
                raise ValueError(
                    f"{name} is a {head.__name__}, which cannot use DenseCRFLoss, because it "
                    f"{reason}"
                )


def losses_by_name(module: nn.Module) -> dict[str, DenseCRFLoss]:
    """Every DenseCRFLoss of a module, by its name in ``named_modules``."""
    return {name: loss for name, loss in module.named_modules() if isinstance(loss, DenseCRFLoss)}
