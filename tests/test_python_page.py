"""docs/python.md, block by block."""

import contextlib
import re
import sqlite3
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from tests.children import ROOT, interpreter_of_tools, run_each, run_tool
from tests.engine.training import training_config, write_config, write_data_set
from tests.tools.network import write_image, write_network

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
INFERENCE, INFERENCER, EXPORT, ONNX, VISUALIZER = re.findall(
    r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
)
SCALAR, FIGURE = "decode.loss_densecrf", "decode_head.loss_decode.1.png"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    network = write_network(tmp_path_factory.mktemp("network"))
    config = Config.fromfile(network.config)
    config.test_dataloader = dict(dataset=dict(pipeline=config.test_pipeline))
    config.visualizer = dict(type="SegLocalVisualizer")
    config.dump(network.config)
    return network


def run(block: str, network, **names) -> dict:
    """Run a block of the page, and return what it has named."""
    for name, value in (("CONFIG", network.config), ("CHECKPOINT", network.checkpoint)):
        block = block.replace(f"'{name}'", repr(value))
    exec(block.replace("512, 512", "24, 32"), names)
    return names


@pytest.mark.parametrize("block", [INFERENCE, INFERENCER])
def test_predictions_are_those_of_the_network(network, tmp_path, monkeypatch, block):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "image.jpg")
    expected = network.logits(np.array(Image.open("image.jpg")))
    found = run(block, network)
    assert np.array_equal(found["mask"], expected.argmax(0))
    if "scores" in found:
        assert torch.allclose(found["scores"], expected, atol=1e-4)


def test_an_exported_network_gives_the_same_logits_for_any_batch(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run(EXPORT, network)
    assert found["logits"].shape == (2, 3, 6, 8)
    loaded = torch.export.load("network.pt2").module()
    image = torch.randn(3, 3, 24, 32)
    with torch.no_grad():
        assert torch.allclose(loaded(image), network.segmentor(image), atol=1e-5)


def test_an_exported_network_needs_torch_alone(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(EXPORT, network)
    script = (
        "import sys, torch\n"
        "for name in ('mmseg', 'mmengine', 'mmcv', 'mmseg_rloss'): sys.modules[name] = None\n"
        f"network = torch.export.load({str(tmp_path / 'network.pt2')!r}).module()\n"
        "print(tuple(network(torch.zeros(1, 3, 24, 32)).shape))"
    )
    (child,) = run_each([script], ["torch"])
    assert child.stdout == "(1, 3, 6, 8)\n", child.stderr


def test_onnx_from_the_same_program(network, tmp_path, monkeypatch):
    import onnx
    from onnx.reference import ReferenceEvaluator

    monkeypatch.chdir(tmp_path)
    found = run(EXPORT, network)
    run(ONNX, network, torch=torch, program=found["program"])
    saved = onnx.load("network.onnx")
    assert saved.graph.input[0].type.tensor_type.shape.dim[0].dim_param, "any batch"
    evaluator = ReferenceEvaluator(saved)
    image = torch.randn(3, 3, 24, 32)
    (logits,) = evaluator.run(None, {evaluator.input_names[0]: image.numpy()})
    with torch.no_grad():
        assert np.allclose(logits, network.segmentor(image), atol=1e-4)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """The folder of a training with the visualizer of the page, started there."""
    folder = tmp_path_factory.mktemp("watched")
    write_data_set(folder / "set")
    config = training_config(folder / "set", folder / "work")
    names: dict = {}
    exec(VISUALIZER, names)
    config["visualizer"] = names["visualizer"]
    config["custom_hooks"].append(dict(type="DenseCRFVisualizationHook", interval=2))
    process = run_tool(
        ROOT / "tools" / "train.py",
        write_config(config),
        cwd=folder,
        WANDB_MODE="offline",
        MLFLOW_DISABLE_TELEMETRY="true",
    )
    assert process.returncode == 0, process.stderr
    return folder


def one(folder: Path, pattern: str) -> Path:
    (path,) = folder.rglob(pattern)
    return path


def test_a_training_leaves_files(watched):
    assert SCALAR in one(watched / "work", "scalars.json").read_text()
    assert one(watched, f"vis_image/{FIGURE}_2.png")


def test_a_training_is_watched_in_tensorboard(watched):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tags = EventAccumulator(str(one(watched, "events.out.tfevents.*"))).Reload().Tags()
    assert SCALAR in tags["scalars"]
    assert FIGURE in tags["images"]


def test_a_training_is_watched_in_wandb(watched):
    assert SCALAR.encode() in one(watched, "run-*.wandb").read_bytes()
    assert one(watched, "wandb/offline-run-*/files/media/images/decode_head*.png")


def test_a_training_is_watched_in_mlflow(watched):
    with contextlib.closing(sqlite3.connect(watched / "mlflow.db")) as store:
        steps = store.execute("SELECT step FROM metrics WHERE key = ? ORDER BY step", [SCALAR])
        assert steps.fetchall() == [(1,), (2,)]
    assert one(watched / "mlruns", FIGURE)


def test_mmsegs_functions_need_the_import_beside_mmcv_lite():
    statement = "from mmseg.apis import MMSegInferencer, inference_model, init_model"
    without, after = map(
        interpreter_of_tools().run, (statement, f"import mmseg_rloss\n{statement}")
    )
    assert after.returncode == 0, after.stderr
    compiled = "mmcv._ext" not in sys.modules or hasattr(sys.modules["mmcv._ext"], "__file__")
    if not compiled:
        assert "No module named 'mmcv._ext'" in without.stderr
