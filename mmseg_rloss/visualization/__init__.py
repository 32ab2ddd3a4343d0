"""Pictures of label maps and of the loss."""

from ..datasets.photo import read_photo
from .densecrf import colour_pulls, draw_densecrf, figure_to_array, loss_and_pull
from .overlay import overlay_labels
from .sheet import class_legend, draw_sheet

__all__ = [
    "class_legend",
    "colour_pulls",
    "draw_densecrf",
    "draw_sheet",
    "figure_to_array",
    "loss_and_pull",
    "overlay_labels",
    "read_photo",
]
