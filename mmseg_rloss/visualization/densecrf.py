"""The regularized losses of a prediction in one figure."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from ..datasets.label_png import UNLABELLED
from ..ops import DenseCRFLoss, NeighbourPottsLoss, SelfLabelLoss
from ..ops.energy_layer import EnergyLayer, LatticeLayer
from .overlay import clear_background, overlay_labels
from .sheet import COLUMN_WIDTH, bare_axes, class_legend, draw_legend, names_of

LABEL_LENGTH = 1.8  # inches, that the label of a row takes along its height
MAX_CLASSES = 6  # in one figure; those with the most pixels
COLOUR_MAP = "inferno"  # of pulls


def draw_densecrf(
    losses: Sequence[EnergyLayer],
    image: Tensor,
    probabilities: Tensor,
    region_of_interest: Tensor,
    classes: Sequence[str],
    palette: np.ndarray,
    seg_label: Tensor | None = None,
    image_tags: Tensor | None = None,
) -> Figure:
    """Draw the prediction over the image, the loss, and its gradient for the classes present.

    The heat maps show the gradient with respect to the probability of a class, with the sign
    turned: how strongly neighbours of like colour pull a pixel towards that class.

    Args:
        losses: A row is drawn for each; they differ in their kind or parameters.
        image: (C, H, W), 0-255, RGB if C is 3.
        probabilities: (K, H, W), of floating point.
        region_of_interest: (H, W), 1 on the pixels that show the image, 0 elsewhere.
        classes: The names of the K classes.
        palette: (K, 3) of uint8, RGB.
        seg_label: (H, W) or (1, H, W) labels for the losses that take them, 255 where there is
            none, as everywhere by default.
        image_tags: (K,) of bool or wider, the classes that a SelfLabelLoss takes for possible.
    """
    if seg_label is None:
        seg_label = probabilities.new_full(region_of_interest.shape, UNLABELLED)
    prediction = probabilities.argmax(0).byte().cpu().numpy()  # (H, W)
    prediction[region_of_interest.cpu().numpy() == 0] = UNLABELLED
    cleared = clear_background(palette, classes)
    overlay = overlay_labels(_displayable(image), prediction, cleared)
    predicted = np.unique(prediction[prediction != UNLABELLED]).tolist()
    present = _most_frequent(prediction)

    height, width = prediction.shape
    row_height = max(COLUMN_WIDTH * height / width, LABEL_LENGTH) + 0.3
    size = COLUMN_WIDTH * (1 + len(present)) + 1.4, row_height * len(losses) + 0.4
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(wspace=0.01, hspace=0.01))
    axes = figure.subplots(len(losses), 1 + len(present), squeeze=False)
    for row, loss in zip(axes, losses, strict=True):
        bare_axes(row)
        maps = [image, probabilities, region_of_interest]
        if loss.takes_labels:
            maps.append(seg_label)
        if isinstance(loss, SelfLabelLoss) and image_tags is not None:
            maps.append(image_tags[: len(classes)])
        value, pull = loss_and_pull(loss, *maps)
        row[0].imshow(overlay)
        row[0].set_title(f"loss {value:.4g}", fontsize="medium")
        row[0].set_ylabel(
            f"{_kind(loss)}\n"
            f"{_bandwidths(loss)}\n"
            f"scale {loss.scale_factor:g}, weight {loss.weight:g}",
            fontsize="small",
        )
        if present:  # There is none without a region of interest.
            _draw_pulls(row[1:], pull[present].cpu().numpy())
    for axis, label in zip(axes[0, 1:], present, strict=True):
        axis.set_title(f"pull towards {classes[label]}", fontsize="medium")
    draw_legend(figure, class_legend(names_of(predicted, classes), palette))
    return figure


def _kind(loss: EnergyLayer) -> str:
    if isinstance(loss, DenseCRFLoss) and loss.normalize:
        return "DenseCRFLoss, normalized"
    if isinstance(loss, NeighbourPottsLoss):
        return f"NeighbourPottsLoss, {loss.relaxation}"
    return type(loss).__name__


def _bandwidths(loss: EnergyLayer) -> str:
    position = f", sigma_xy {loss.sigma_xy:g}" if isinstance(loss, LatticeLayer) else ""
    return f"sigma_rgb {loss.sigma_rgb:g}{position}"


def _draw_pulls(axes: np.ndarray, pulls: np.ndarray) -> None:
    """One heat map for each of (present, H, W), on one scale, with a colour bar."""
    norm = _pull_norm(pulls)
    for axis, pull in zip(axes, pulls, strict=True):
        mappable = axis.imshow(pull, cmap=COLOUR_MAP, norm=norm)
    bar = axes[0].figure.colorbar(mappable, ax=axes, fraction=0.02, pad=0.01)
    bar.set_label("$-$ d loss / d probability", fontsize="small")
    bar.formatter.set_powerlimits((0, 0))
    bar.locator = MaxNLocator(4)


def colour_pulls(pulls: np.ndarray) -> np.ndarray:
    """Heat maps of pulls (K, H, W) on one scale, as in the figures: uint8 (K, H, W, 3), RGB."""
    return colormaps[COLOUR_MAP](_pull_norm(pulls)(pulls), bytes=True)[..., :3]


def _pull_norm(pulls: np.ndarray) -> PowerNorm:
    # The pull grows with the area of an object: a linear scale would leave the small ones dark.
    return PowerNorm(0.5, vmin=0, vmax=max(pulls.max(), np.finfo(pulls.dtype).tiny))


def figure_to_array(figure: Figure) -> np.ndarray:
    """The pixels of a figure, uint8 (H, W, 3), RGB."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def loss_and_pull(
    loss: EnergyLayer, image: Tensor, probabilities: Tensor, *maps: Tensor
) -> tuple[float, Tensor]:
    """The loss of one image, and how strongly it pulls each pixel towards each class.

    Args:
        loss: The layer.
        image: (C, H, W), 0-255.
        probabilities: (K, H, W), of floating point.
        *maps: What else the layer takes, (H, W) each: the region of interest first.

    Returns:
        The loss, and its gradient with respect to the probabilities with the sign turned,
        (K, H, W).
    """
    with torch.enable_grad():
        probabilities = probabilities.detach().requires_grad_()
        value = loss(image[None], probabilities[None], *(tensor[None] for tensor in maps))
    (gradient,) = torch.autograd.grad(value, probabilities)
    return value.item(), -gradient


def _most_frequent(prediction: np.ndarray) -> list[int]:
    """The labels present, in ascending order; of too many, those with the most pixels."""
    labels, counts = np.unique(prediction[prediction != UNLABELLED], return_counts=True)
    return sorted(labels[np.argsort(-counts, kind="stable")][:MAX_CLASSES].tolist())


def _displayable(image: Tensor) -> np.ndarray:
    """RGB, or the first band in grey of an image that is not RGB; uint8 (H, W, 3)."""
    if len(image) != 3:
        image = image[:1].expand(3, -1, -1)
    return image.round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
