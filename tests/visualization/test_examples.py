"""Examples of a validation set, of classes and colours of one's own."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from mmseg_rloss.datasets.label_png import write_label_png
from mmseg_rloss.visualization import draw_examples
from tests.tools.network import write_image

SIZE = (20, 30)  # height, width
PALETTE = [[0, 0, 0], [40, 160, 60], [220, 60, 40]]
CLASSES = ("ground", "leaf", "fruit")


@pytest.fixture
def config(tmp_path) -> Config:
    """Two images with masks, one of them with scribbles, too; their ids and suffixes differ."""
    for kind in ("scribbles", "masks", "net"):
        (tmp_path / kind / "day 1").mkdir(parents=True)
    other_colours = np.array([[9, 9, 9], [1, 2, 3]], dtype=np.uint8)
    for name, suffix in (("a.v2", "tif"), ("day 1/my plant", "png")):
        write_image(tmp_path / "images" / f"{name}.{suffix}", SIZE)
        labels = np.zeros(SIZE, dtype=np.uint8)
        labels[5:10] = 1
        write_label_png(labels, tmp_path / "masks" / f"{name}.png", other_colours)
        labels[:, 20:] = 7  # no class
        write_label_png(labels, tmp_path / "net" / f"{name}.png")
    write_label_png(np.where(labels == 1, 0, 255).astype(np.uint8), tmp_path / "scribbles/a.v2.png")
    own = dict(type="ScribbleDataset", data_root=str(tmp_path))
    own["metainfo"] = dict(classes=CLASSES, palette=PALETTE)
    return Config(
        dict(
            train_dataloader=dict(dataset=own),
            val_dataloader=dict(dataset=dict(own, labels="mask")),
        )
    )


def draw(config: Config, count: int = 2):
    root = Path(config.train_dataloader.dataset.data_root)
    return draw_examples(config, {"net": root / "net"}, count)


def test_all_maps_of_an_image_stand_side_by_side(config):
    axes = np.reshape(draw(config).axes, (2, 4))
    assert [axis.get_title() for axis in axes[0]] == ["image", "scribbles", "net", "mask"]
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["a.v2", "day 1/my plant"]
    assert not axes[1, 1].images, "the other has no scribbles"
    image, scribbles, net, mask = (axis.images[0].get_array() for axis in axes[0])
    assert (scribbles[5:10, :20] == 0).all() and scribbles[:5].min() >= 127
    assert np.array_equal(mask[:5], image[:5]), "the background is clear"
    assert np.array_equal(mask[5:10, :20], net[5:10, :20])
    greener = mask[5:10].astype(int) @ [-1, 1, 0]
    assert np.allclose(greener, 0.65 * 120, atol=1), "the config's colours, not the file's"


def test_the_legend_names_every_label_that_is_shown(config):
    named = [text.get_text() for text in draw(config).legends[0].get_texts()]
    assert named == ["ground", "leaf", "label 7"]


def test_of_many_images_as_many_as_asked_for(config):
    assert [axis.get_ylabel() for axis in draw(config, 1).axes[::4]] == ["a.v2"]
