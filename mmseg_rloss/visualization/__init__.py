"""Pictures of label maps and of the loss."""

from ..datasets.photo import read_photo
from .densecrf import draw_densecrf, figure_to_array
from .overlay import overlay_labels
from .sheet import class_legend, draw_sheet

__all__ = [
    "class_legend",
    "draw_densecrf",
    "draw_sheet",
    "figure_to_array",
    "overlay_labels",
    "read_photo",
]
