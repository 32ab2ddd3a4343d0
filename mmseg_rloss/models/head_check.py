"""Checks before training that heads can use their losses, and that these suit scribbles."""

from __future__ import annotations

from mmseg.models.decode_heads import DDRHead, PIDHead, PointHead, SideAdapterCLIPHead
from mmseg.models.losses import CrossEntropyLoss
from torch import nn

from .losses.regularized_loss import losses_by_name, type_names

_ELSEWHERE = "list it in loss_decode of an auxiliary head that predicts maps, such as FCNHead"
_UNUSABLE = {
    DDRHead: f"calls its first two losses alone: {_ELSEWHERE}",
    PIDHead: f"calls its first four losses alone: {_ELSEWHERE}",
    PointHead: "computes its losses on sampled points: list it in the head before this one",
    SideAdapterCLIPHead: "computes its losses on masks of queries, not on maps of classes; there "
    "is no way to use {loss} with it",
}


def check_heads(segmentor: nn.Module) -> None:
    """Refuse a RegularizedLoss in a head of MMSeg that is known not to use it.

    Raises:
        ValueError: It names the head and the remedy.
    """
    for name, module in segmentor.named_modules():
        for head, reason in _UNUSABLE.items():
            if isinstance(module, head) and (losses := losses_by_name(module)):
                loss = type_names(losses)
                raise ValueError(
                    f"{name} is a {head.__name__}, which cannot use {loss}, because it "
                    f"{reason.format(loss=loss)}"
                )


def trap_of_heads(segmentor: nn.Module) -> str | None:
    """The message for cross entropies that also average over unlabelled pixels, or None."""
    names = [
        name
        for name, module in segmentor.named_modules()
        if isinstance(module, CrossEntropyLoss) and not module.avg_non_ignore
    ]
    if not names:
        return None
    return (
        f"The cross entropy {', '.join(names)} is divided by all pixels, of which scribbles label "
        "few, and hardly counts: set its avg_non_ignore=True"
    )
