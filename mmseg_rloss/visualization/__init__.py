"""Pictures of label maps and of the loss."""

from ..datasets.photo import read_photo
from .densecrf import draw_densecrf, figure_to_array
from .overlay import overlay_labels
from .sheet import SCRIBBLES, class_legend, draw_sheet, photo_row

__all__ = [
    "SCRIBBLES",
    "class_legend",
    "draw_densecrf",
    "draw_sheet",
    "figure_to_array",
    "overlay_labels",
    "photo_row",
    "read_photo",
]
