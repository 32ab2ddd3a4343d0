"""The base of the regularized losses, as MMSegmentation's heads call them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...ops import Scene
from ...ops.checks import check_finite, check_tensor
from ...ops.energy_layer import EnergyLayer
from ...ops.ranges import GREY_LEVELS, check_value_range, shared_range_check

_CHECKPOINTED = """\
{loss} is computed again after its images were taken back: the head runs under activation
checkpointing (torch.utils.checkpoint), which repeats the forward on the way back. Checkpoint the
backbone alone, for which MMSegmentation's backbones have with_cp=True."""

_NO_IMAGES = """\
{loss} has no images: MMSegmentation passes logits and labels to a loss, not the image.
Add to the config

    custom_imports = dict(imports=['mmseg_rloss'])
    custom_hooks = [dict(type='ProvideImagesHook')]

or, in a training loop of your own, before it starts

    from mmseg_rloss import provide_images
    provide_images(model)

and compute the losses by calling the model: model(inputs, data_samples, mode='loss')."""


def of_layer(name: str) -> property:
    """A read-only parameter of a loss, held by its layer."""
    return property(lambda loss: getattr(loss.layer, name))


class RegularizedLoss(nn.Module):
    """An energy of the probabilities of all pixels, given the images.

    Use it beside a cross entropy in ``loss_decode`` of any head that computes its losses on maps
    of logits. The images come from :class:`~mmseg_rloss.engine.ProvideImagesHook` or
    :func:`~mmseg_rloss.engine.provide_images`. Softmax and filter run in float32 (float64 for
    float64 logits) whatever the autocast.

    Args:
        layer: Computes the weighted energy, and holds the parameters: the layer that is called as
            the loss in plain PyTorch.
        loss_name: Name in the log. It must contain ``loss`` to take part in the training.

    Raises:
        TypeError: ``loss_name`` is not a string.
    """

    sigma_rgb = of_layer("sigma_rgb")
    sigma_xy = of_layer("sigma_xy")  # of a LatticeLayer
    scale_factor = of_layer("scale_factor")

    def __init__(self, layer: EnergyLayer, loss_name: str) -> None:
        super().__init__()
        if not isinstance(loss_name, str):
            raise TypeError(
                f"loss_name must be a str, not {type(loss_name).__name__} {loss_name!r}"
            )
        if "loss" not in loss_name:
            warnings.warn(
                f"loss_name {loss_name!r} does not contain 'loss': MMEngine will log "
                f"{type(self).__name__}, but not train by it. Call it 'loss_{loss_name}'",
                stacklevel=3,
            )
        self.layer = layer
        self._loss_name = loss_name
        self._scene: Scene | None = None
        self._suspended = False

    def __getstate__(self) -> dict[str, Any]:
        # A batch under way, as Ctrl-C leaves it, can be neither copied nor saved.
        return self.__dict__ | dict(_scene=None, _suspended=False)

    @property
    def loss_name(self) -> str:
        """Name of the loss in the log."""
        return self._loss_name

    @property
    def loss_weight(self) -> float:
        """Factor of the energy; with 0, nothing is filtered."""
        return self.layer.weight

    @loss_weight.setter
    def loss_weight(self, loss_weight: float) -> None:
        self.layer.weight = check_finite("loss_weight", loss_weight)

    @property
    def scene(self) -> Scene | None:
        """The batch whose logits come next, None where there is none."""
        return self._scene

    def provide(
        self,
        image: Tensor,
        region_of_interest: Tensor,
        *,
        value_range: Sequence[float] | None = GREY_LEVELS,
    ) -> None:
        """Hand over the batch whose logits come next.

        Args:
            image: (N, C, H, W) with values in ``value_range``.
            region_of_interest: (N, H, W), 1 on the pixels that show an image, 0 elsewhere.
            value_range: As in :func:`~mmseg_rloss.ops.densecrf_loss`.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: Sizes do not match, or values are out of their range (as there).
        """
        check_tensor("image", image, ("N", "C", "H", "W"))
        check_tensor("region_of_interest", region_of_interest, ("N", "H", "W"))
        if (len(image), *image.shape[2:]) != region_of_interest.shape:
            raise ValueError(
                f"region_of_interest must be (N, H, W) of the image {tuple(image.shape)}, but its "
                f"shape is {tuple(region_of_interest.shape)}"
            )
        checked = check_value_range(value_range)
        scene = Scene(image, region_of_interest, value_range=checked)
        check = shared_range_check(image.device, checked)
        check(scene.image(), scene.region(1.0, like=scene.image()))
        self.provide_scene(scene)

    def provide_scene(self, scene: Scene) -> None:
        """Hand over the batch whose logits come next, and build the affinities for them.

        On a GPU the building goes on while the network computes the logits. Losses that get the
        same scene share its affinities.
        """
        self._scene = scene
        if self._is_active:
            self.layer.affinities(scene)

    def take_back(self) -> None:
        """Forget the batch, so that its memory is free, and that the loss was suspended."""
        self._scene = None
        self._suspended = False

    def suspend(self) -> None:
        """Be zero, and filter nothing, until the next batch has been taken back."""
        self._suspended = True

    @property
    def _is_active(self) -> bool:
        return self.loss_weight != 0 and not self._suspended

    def forward(
        self,
        seg_logits: Tensor,
        seg_label: Tensor,
        weight: Tensor | None = None,
        ignore_index: int | None = 255,
    ) -> Tensor:
        """Compute the weighted energy, as ``BaseDecodeHead.loss_by_feat`` asks for it.

        Args:
            seg_logits: (N, K, h, w) logits, scaled to the images' size if they have another.
                One channel is taken as the logits of a foreground (sigmoid).
            seg_label: (N, h, w) labels. All pixels of the image count, labelled or not; see the
                loss for what else it does with them.
            weight: Not used: a pixel sampler weighs pixels, the energy is one of pairs.
            ignore_index: The label of the pixels without one.

        Returns:
            A scalar.

        Raises:
            RuntimeError: The loss was not provided with images.
            ValueError: ``seg_logits`` are not maps, or not of the batch provided.
        """
        if self._scene is None:
            in_backward = torch._C._current_graph_task_id() != -1
            message = _CHECKPOINTED if in_backward else _NO_IMAGES
            raise RuntimeError(message.format(loss=type(self).__name__))
        self._check_logits(seg_logits, self._scene)
        if not self._is_active:
            return _Nothing.apply(seg_logits)
        with torch.autocast(seg_logits.device.type, enabled=False):
            label = self.layer_label(seg_label, ignore_index, self._scene.size)
            return self.layer.from_logits(self._scene, seg_logits, label)

    def layer_label(
        self, seg_label: Tensor, ignore_index: int | None, size: tuple[int, int]
    ) -> Tensor | None:
        """The labels that the layer takes, (N, H, W) of the images' size: none here."""
        return None

    def _check_logits(self, seg_logits: Tensor, scene: Scene) -> None:
        if seg_logits.ndim != 4:
            raise ValueError(
                "seg_logits must be maps (N, K, H, W), but their shape is "
                f"{tuple(seg_logits.shape)}. A head that computes its losses on sampled points, "
                f"such as PointHead, cannot use {type(self).__name__}: list it in loss_decode of "
                "a head that predicts maps"
            )
        if len(seg_logits) != len(scene):
            raise ValueError(
                f"seg_logits {tuple(seg_logits.shape)} and the {len(scene)} images provided must "
                "be of the same batch, but differ in N"
            )


def losses_by_name(module: nn.Module) -> dict[str, RegularizedLoss]:
    """Every RegularizedLoss of a module, by its name in ``named_modules``."""
    modules = module.named_modules()
    return {name: loss for name, loss in modules if isinstance(loss, RegularizedLoss)}


def type_names(losses: dict[str, RegularizedLoss]) -> str:
    """The types of losses as a message names them: ``DenseCRFLoss or KernelCutLoss``."""
    return " or ".join(sorted({type(loss).__name__ for loss in losses.values()}))


def is_unlabelled(seg_label: Tensor, ignore_index: int | None) -> Tensor:
    """Which labels stand for none, as MMSegmentation's cross entropy takes its ignore_index."""
    return seg_label == (-100 if ignore_index is None else ignore_index)


def scale_label(label: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, h, w) labels at the size of the images, by nearest neighbour."""
    if label.shape[1:] == size:
        return label
    return F.interpolate(label.float().unsqueeze(1), size).squeeze(1)


class _Nothing(torch.autograd.Function):
    """A zero with a gradient of zeros: parameters without one would stop distributed training."""

    @staticmethod
    def forward(ctx, seg_logits: Tensor) -> Tensor:
        ctx.shape = seg_logits.shape
        ctx.like = seg_logits.new_zeros(())
        return ctx.like.to(torch.promote_types(seg_logits.dtype, torch.float32))

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return ctx.like.expand(ctx.shape)  # takes no memory
