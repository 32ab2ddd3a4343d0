"""Sheets of pictures."""

import numpy as np

from mmseg_rloss.visualization import class_legend, draw_sheet


def picture(value: int) -> np.ndarray:
    return np.full((4, 6, 3), value, dtype=np.uint8)


def shown(figure) -> list[list[int]]:
    """The value of each picture by its place in the grid, row by row; -1 for a gap."""
    values = [int(axis.images[0].get_array().max()) if axis.images else -1 for axis in figure.axes]
    rows, columns = figure.axes[0].get_gridspec().get_geometry()
    return np.reshape(values, (rows, columns)).tolist()


def test_each_picture_stands_in_the_row_of_its_image_below_its_title():
    rows = {
        "first": {"image": picture(10), "mask": picture(11)},
        "second": {"image": picture(20), "scribbles": picture(22), "mask": picture(21)},
    }
    figure = draw_sheet(rows)
    assert shown(figure) == [[10, 11, -1], [20, 21, 22]]
    assert [axis.get_title() for axis in figure.axes[:3]] == ["image", "mask", "scribbles"]
    assert [axis.get_ylabel() for axis in figure.axes[::3]] == ["first", "second"]


def test_the_legend_names_the_classes_in_their_colours():
    palette = np.array([[0, 0, 0], [255, 0, 51]], dtype=np.uint8)
    figure = draw_sheet({"": {"image": picture(0)}}, class_legend({1: "cow"}, palette))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["cow"]
    assert legend.get_patches()[0].get_facecolor() == (1, 0, 0.2, 1)
