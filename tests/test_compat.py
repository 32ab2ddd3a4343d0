"""What compat.py mends, under whichever of the two stacks runs the tests."""

import functools
import http.server
import importlib.util
import os
import pickle
import sys
import threading
import zipfile

import mmcv.utils
import mmseg
import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader, save_checkpoint
from mmengine.runner import checkpoint as checkpoint_module
from mmengine.utils import digit_version

from mmseg_rloss import compat

on_fork = digit_version(mmseg.__version__) >= digit_version("1.3")
official = pytest.mark.skipif(on_fork, reason="the maintained fork is left alone")


@official
def test_a_missing_operator_is_named_with_the_remedy_when_it_is_called():
    from mmcv.ops import nms

    with pytest.raises(NotImplementedError, match=r"'nms'.*Replace mmcv-lite by mmcv"):
        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([0.5]), iou_threshold=0.5)


@official
def test_nobody_takes_the_stand_in_for_compiled_operators():
    from mmengine.utils.dl_utils.misc import mmcv_full_available

    assert not mmcv_full_available()
    assert mmcv.utils.collect_env()["MMCV Compiler"] == "n/a"
    assert not hasattr(sys.modules["mmcv._ext"], "__file__")


def test_compiled_operators_are_left_as_they_are(tmp_path, monkeypatch):
    (tmp_path / "_ext.py").write_text("real = True\n")
    monkeypatch.setattr(mmcv, "__path__", [*mmcv.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "mmcv._ext", raising=False)
    compat.stand_in_for_compiled_ops()
    assert importlib.import_module("mmcv._ext").real is True
    sys.modules.pop("mmcv._ext")


@pytest.mark.skipif(not on_fork, reason="the official stack needs both")
def test_the_fork_is_left_alone():
    assert "mmcv._ext" not in sys.modules
    assert CheckpointLoader._schemes[""].__module__ == "mmengine.runner.checkpoint"


def test_applying_twice_changes_nothing():
    stand_in = sys.modules.get("mmcv._ext")
    compat.apply()
    assert sys.modules.get("mmcv._ext") is stand_in


class TestCheckpoints:
    """Local checkpoints of MMEngine load, and code in them still does not run."""

    @pytest.fixture
    def checkpoint(self, tmp_path):
        """A checkpoint with everything that MMEngine's loops put into one."""
        history = HistoryBuffer()
        for loss in (0.5, 0.25):
            history.update(loss)
        path = tmp_path / "iter_2.pth"
        contents = {
            "state_dict": {"weight": torch.arange(3.0)},
            "message_hub": {
                "log_scalars": {"train/loss": history},
                "runtime_info": {"iter": 2, "best_score": np.float64(0.5), "best": np.float32(1)},
                "resumed_keys": {"train/loss": True},
            },
        }
        save_checkpoint(contents, str(path))
        return path

    def check(self, path):
        contents = CheckpointLoader.load_checkpoint(str(path), map_location="cpu")
        assert contents["state_dict"]["weight"].tolist() == [0, 1, 2]
        hub = contents["message_hub"]
        assert hub["runtime_info"]["best_score"] == 0.5
        history = hub["log_scalars"]["train/loss"]
        assert history.data[0].tolist() == [0.5, 0.25]
        assert history.statistics("mean") == 0.375

    def test_the_log_history_loads(self, checkpoint):
        self.check(checkpoint)

    @official
    def test_a_checkpoint_written_under_numpy_1_loads(self, checkpoint):
        """Such a file names the module numpy.core, where NumPy 2 writes numpy._core."""
        path = checkpoint.with_name("numpy_1.pth")
        with zipfile.ZipFile(checkpoint) as source, zipfile.ZipFile(path, "w") as target:
            for name in source.namelist():
                content = source.read(name)
                if name.endswith("data.pkl"):
                    assert b"numpy._core" in content
                    content = content.replace(b"numpy._core", b"numpy.core")
                target.writestr(name, content)
        self.check(path)

    def test_nothing_but_mmengines_loader_is_opened(self, checkpoint):
        CheckpointLoader.load_checkpoint(str(checkpoint))
        with pytest.raises(pickle.UnpicklingError):
            torch.load(checkpoint, weights_only=True)

    @official
    @pytest.mark.parametrize("call", ["os.system", "builtins.eval", "a private method"])
    def test_code_in_a_checkpoint_does_not_run(self, tmp_path, call):
        mark = tmp_path / "mark"
        calls = {
            "os.system": Call("os", "system", f"touch {mark}"),
            "builtins.eval": Call("builtins", "eval", f"open({str(mark)!r}, 'w')"),
            "a private method": Call("builtins", "getattr", HistoryBuffer, "__init__"),
        }
        path = tmp_path / "bad.pth"
        torch.save({"state_dict": calls[call]}, path)
        with pytest.raises((pickle.UnpicklingError, ValueError)):
            CheckpointLoader.load_checkpoint(str(path))
        assert not mark.exists()

    @official
    @pytest.mark.parametrize("scheme", ["http", "open-mmlab", "mmcls", "torchvision"])
    def test_code_in_a_checkpoint_from_elsewhere_does_not_run(self, tmp_path, monkeypatch, scheme):
        mark = tmp_path / "mark"
        served = tmp_path / "served"
        served.mkdir()
        torch.save({"state_dict": Call("os", "system", f"touch {mark}")}, served / "bad.pth")
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=served)
        handler.log_message = lambda *args: None
        monkeypatch.setenv("TORCH_HOME", str(tmp_path))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            url = f"http://127.0.0.1:{server.server_address[1]}/bad.pth"
            for zoo in ("get_external_models", "get_mmcls_models", "get_torchvision_models"):
                monkeypatch.setattr(checkpoint_module, zoo, lambda: {"bad": url})
            name = url if scheme == "http" else f"{scheme}://bad"
            with pytest.raises(pickle.UnpicklingError):
                CheckpointLoader.load_checkpoint(name, map_location="cpu")
            server.shutdown()
        assert not mark.exists()
        assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ

    @official
    def test_a_checkpoint_from_elsewhere_loads(self, checkpoint, tmp_path, monkeypatch):
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
        cache = tmp_path / "torch" / "hub" / "checkpoints"
        cache.mkdir(parents=True)
        checkpoint.rename(cache / "whole.pth")
        contents = CheckpointLoader.load_checkpoint("http://host.invalid/whole.pth")
        assert contents["message_hub"]["log_scalars"]["train/loss"].statistics("mean") == 0.375


class Call:
    """Pickles as the call of a function: what a malicious checkpoint consists of."""

    def __init__(self, module, function, *args):
        self.function = getattr(importlib.import_module(module), function)
        self.args = args

    def __reduce__(self):
        return self.function, self.args
