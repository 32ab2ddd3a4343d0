"""docs/python.md, block by block."""

import re
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from tests.children import ROOT, run_each
from tests.engine.training import train, training_config, write_data_set
from tests.tools.network import write_image, write_network

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
INFERENCE, INFERENCER, EXPORT, ONNX, VISUALIZER = re.findall(
    r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
)


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
    evaluator = ReferenceEvaluator(onnx.load("network.onnx"))
    image = torch.randn(2, 3, 24, 32)
    (logits,) = evaluator.run(None, {evaluator.input_names[0]: image.numpy()})
    with torch.no_grad():
        assert np.allclose(logits, network.segmentor(image), atol=1e-4)


def test_a_training_is_watched_through_the_visualizer(tmp_path):
    """In the backends of the page that are installed."""
    write_data_set(tmp_path / "set")
    config = training_config(tmp_path / "set", tmp_path / "work")
    names: dict = {}
    exec(VISUALIZER, names)
    backends = names["visualizer"]["vis_backends"]
    libraries = dict(TensorboardVisBackend="tensorboard", LocalVisBackend="json")
    usable = [
        backend
        for backend in backends
        if backend["type"] in libraries and find_spec(libraries[backend["type"]])
    ]
    config["visualizer"] = dict(names["visualizer"], vis_backends=usable)
    config["custom_hooks"].append(dict(type="DenseCRFVisualizationHook", interval=2))
    train(config)
    (scalars,) = (tmp_path / "work").rglob("scalars.json")
    assert "decode.loss_densecrf" in scalars.read_text()
    assert list((tmp_path / "work").rglob("vis_image/decode_head*.png"))
    if len(usable) == 2:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        (events,) = (tmp_path / "work").rglob("events.out.tfevents.*")
        accumulator = EventAccumulator(str(events)).Reload()
        assert "decode.loss_densecrf" in accumulator.Tags()["scalars"]
        assert any(tag.startswith("decode_head") for tag in accumulator.Tags()["images"])


def test_mmsegs_functions_need_the_import_beside_mmcv_lite():
    statement = "from mmseg.apis import MMSegInferencer, inference_model, init_model"
    without, after = run_each([statement, f"import mmseg_rloss\n{statement}"], ["torch"])
    assert after.status == 0, after.stderr
    compiled = "mmcv._ext" not in sys.modules or hasattr(sys.modules["mmcv._ext"], "__file__")
    if not compiled:
        assert "No module named 'mmcv._ext'" in without.stderr
