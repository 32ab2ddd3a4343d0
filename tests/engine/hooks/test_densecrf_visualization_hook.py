"""The hook in MMEngine's Runner, with a backend that writes files."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from mmseg_rloss.engine import DenseCRFVisualizationHook
from mmseg_rloss.engine.provide_images import find_segmentor
from mmseg_rloss.visualization import draw_densecrf, figure_to_array
from tests.engine.segmentors import DENSECRF
from tests.engine.training import train, training_config, write_data_set
from tests.ops.energies import ENERGIES

CLASSES = ("a", "b", "c")
PALETTE = np.array([[0, 0, 0], [250, 0, 0], [0, 250, 0]], dtype=np.uint8)


@HOOKS.register_module()
class RecordLossInputs(Hook):
    """Keeps what the loss was called with, iteration by iteration."""

    def before_train(self, runner):
        self.batches = []
        loss = find_segmentor(runner.model).decode_head.loss_decode[1]
        self.layer = loss.layer
        loss.register_forward_hook(self.record)

    def record(self, loss, args, output):
        """Images, probabilities, region and labels."""
        logits, label = (tensor.detach() for tensor in args)
        image, region = loss.scene.image(), loss.scene.region_of_interest
        self.batches.append((image, logits.softmax(1), region, label))


def train_with_figures(root: Path, iterations: int, loss: dict = DENSECRF, **options):
    """A Runner after so many iterations, of which every other one is drawn."""
    write_data_set(root / "set")
    config = training_config(root / "set", root / "work_dir") | options
    config["model"]["decode_head"]["loss_decode"][1] = loss
    config["train_cfg"]["max_iters"] = iterations
    metainfo = dict(classes=CLASSES, palette=PALETTE.tolist())
    config["train_dataloader"]["dataset"]["metainfo"] = metainfo
    config["visualizer"] = dict(
        type="SegLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")]
    )
    config["custom_hooks"] += [
        dict(type="DenseCRFVisualizationHook", interval=2),
        dict(type="RecordLossInputs"),
    ]
    return train(config)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_with_figures(tmp_path_factory.mktemp("visualization"), iterations=4)


def pictures(runner) -> dict[str, np.ndarray]:
    """What the local backend has written, RGB by file name."""
    files = sorted(Path(runner.log_dir, "vis_data", "vis_image").iterdir())
    return {file.name: cv2.imread(str(file))[..., ::-1] for file in files}


def test_a_figure_every_so_many_iterations(trained):
    names = [f"decode_head.loss_decode.1.png_{step}.png" for step in (2, 4)]
    assert list(pictures(trained)) == names


def test_it_shows_the_first_image_as_the_loss_got_it(trained):
    record = next(hook for hook in trained.hooks if isinstance(hook, RecordLossInputs))
    assert len(record.batches) == 4
    for iteration, picture in zip((1, 3), pictures(trained).values(), strict=True):
        *maps, _ = [tensor[0] for tensor in record.batches[iteration]]
        figure = draw_densecrf([record.layer], *maps, CLASSES, PALETTE)
        assert np.array_equal(picture, figure_to_array(figure))


def test_a_compiled_network_is_drawn_as_well(tmp_path, caplog):
    caplog.set_level("INFO", "torch._dynamo")
    runner = train_with_figures(tmp_path, iterations=2, compile=dict(backend="eager"))
    assert list(pictures(runner)) == ["decode_head.loss_decode.1.png_2.png"]
    traced = set(re.findall(r"start tracing (\w+) (\S+):", caplog.text))
    assert any("/mmseg_rloss/models/" in file for _, file in traced)
    assert not [name for name, file in traced if "/mmseg_rloss/engine/hooks/" in file]


@pytest.mark.parametrize("name", [name for name in ENERGIES if name != DENSECRF["type"]])
def test_every_loss_is_drawn_as_it_was_called(tmp_path, name):
    loss = dict(type=name, loss_weight=1e-6) | ENERGIES[name].parameters(sigma_xy=20.0)
    runner = train_with_figures(tmp_path, iterations=2, loss=loss)
    record = next(hook for hook in runner.hooks if isinstance(hook, RecordLossInputs))
    *maps, label = [tensor[0] for tensor in record.batches[1]]
    assert {255} < set(label.unique().tolist())
    figure = draw_densecrf([record.layer], *maps, CLASSES, PALETTE, label)
    (picture,) = pictures(runner).values()
    assert np.array_equal(picture, figure_to_array(figure))


def test_nothing_stays_on_the_loss(trained):
    loss = find_segmentor(trained.model).decode_head.loss_decode[1]
    assert len(loss._forward_hooks) == 1  # of RecordLossInputs


def test_no_rank_but_the_first_watches_the_losses(trained, monkeypatch):
    monkeypatch.setattr("mmengine.dist.utils.get_rank", lambda group=None: 1)
    loss = find_segmentor(trained.model).decode_head.loss_decode[1]
    hook, before = DenseCRFVisualizationHook(), len(loss._forward_hooks)
    hook.before_train(trained)
    assert len(loss._forward_hooks) == before


def test_an_interval_below_one_is_refused():
    with pytest.raises(ValueError, match="interval must be 1"):
        DenseCRFVisualizationHook(interval=0)
