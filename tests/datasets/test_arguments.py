"""Arguments that a config may hold by mistake, to all data sets, transforms and pictures."""

import numpy as np
import pytest

from mmseg_rloss.datasets import (
    LoadRegionOfInterest,
    PackScribbleInputs,
    PascalScribbleDataset,
    ScribbleDataset,
)
from mmseg_rloss.visualization import overlay_labels


def overlay(**arguments):
    image, labels = np.zeros((2, 3, 3), np.uint8), np.zeros((2, 3), int)
    return overlay_labels(image, palette=image[0], **dict(labels=labels) | arguments)


def dataset(**arguments):
    return PascalScribbleDataset(**dict(data_root="nowhere") | arguments)


def own(**arguments):
    return ScribbleDataset(**dict(data_root="nowhere", metainfo=dict(classes="ab")) | arguments)


LABELS = (True, -1, 256, 4.0, "4", np.nan, [4])
FLAGS = ("False", 0, 1, None)
BAD = [
    (dataset, "ignore_index", (*LABELS, None)),
    (dataset, "split", ("test", None, ["train"], 1)),
    (dataset, "labels", ("box", None, ["mask"], True)),
    (dataset, "data_root", (None, 3, ["a"])),
    (dataset, "ann_file", (3, ["a.txt"], True)),
    (dataset, "data_prefix", (dict(img_dir="a"), dict(img_path=None), dict(seg_map_path=3))),
    (dataset, "reduce_zero_label", FLAGS),
    (dataset, "test_mode", FLAGS),
    (dataset, "lazy_init", FLAGS),
    (dataset, "serialize_data", FLAGS),
    (own, "labels", ("box", None)),
    (own, "ann_file", (None, 3)),
    (own, "data_prefix", (dict(img_dir="a"), dict(img_path=None))),
    (own, "ignore_index", (256, None)),
    (LoadRegionOfInterest, "ignore_index", (*LABELS, None)),
    (LoadRegionOfInterest, "num_classes", (True, 0, -1, 2.0, "3", np.inf, [3])),
    (PackScribbleInputs, "meta_keys", ("img_path",)),
    (overlay, "opacity", (-0.1, 1.1, np.nan, "1", None)),
    (overlay, "labels", (np.zeros((3, 2), int), np.zeros((1, 2, 3), int))),
]


@pytest.mark.parametrize(
    "build, name, value",
    [(build, name, value) for build, name, values in BAD for value in values],
    ids=lambda part: part if isinstance(part, str) else None,
)
def test_a_bad_argument_is_named_when_it_is_given(build, name, value):
    with pytest.raises((TypeError, ValueError), match=name):
        build(**{name: value})


@pytest.mark.parametrize("label", [np.uint8(4), np.int64(4), 4])
def test_numbers_of_numpy_are_labels(label):
    assert LoadRegionOfInterest(ignore_index=label, num_classes=label).ignore_index == 4
