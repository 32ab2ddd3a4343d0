"""Pictures of label maps and of the loss; needs no MMSegmentation."""

from .labels import overlay_labels
from .sheet import class_legend, draw_sheet

__all__ = ["class_legend", "draw_sheet", "overlay_labels"]
