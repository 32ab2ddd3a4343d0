"""Pictures of label maps and of the loss."""

from ..datasets.image import read_image
from .densecrf import colour_pulls, draw_densecrf, figure_to_array, loss_and_pull
from .examples import draw_examples
from .overlay import clear_background, overlay_labels, overlay_scribbles
from .sheet import SCRIBBLES, class_legend, draw_sheet, names_of, pictures_of

__all__ = [
    "SCRIBBLES",
    "class_legend",
    "clear_background",
    "colour_pulls",
    "draw_densecrf",
    "draw_examples",
    "draw_sheet",
    "figure_to_array",
    "loss_and_pull",
    "names_of",
    "overlay_labels",
    "overlay_scribbles",
    "pictures_of",
    "read_image",
]
