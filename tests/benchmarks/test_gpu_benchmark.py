"""The GPU benchmark, run on the CPU from a source tree in which nothing has been built."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare_tree(tmp_path):
    unbuilt = shutil.ignore_patterns("*.so", "__pycache__")
    for folder in ("mmseg_rloss", "benchmarks", "tests/data"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=unbuilt)
    return tmp_path


def run(tree, *options):
    script = tree / "benchmarks" / "gpu.py"
    command = [sys.executable, script, "--device", "cpu", "--json", tree / "gpu.json", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tree)
    report = json.loads((tree / "gpu.json").read_text()) if (tree / "gpu.json").exists() else None
    return done, report


def test_measures_everything_and_writes_it(bare_tree):
    done, report = run(bare_tree, "--classes", "3")
    assert done.returncode == 0, done.stderr
    assert report["setting"]["classes"] == 3 and report["setting"]["scale_factor"] == 0.5
    assert report["machine"]["filter"] == "Triton"
    assert report["machine"]["filter_of_the_host"] == "plain PyTorch"
    assert len([name for name in report["parity"] if name.startswith("golden")]) == 6
    assert len([name for name in report["parity"] if "dimensions" in name]) == 8
    assert all(error < 1e-5 for error in report["parity"].values())
    stages = {"lattice", "pack", "splat", "blur", "slice", "the filter in plain PyTorch"}
    assert stages <= report["stages_ms"].keys()
    loss = report["loss_ms"]
    assert loss.keys() == {"forward", "forward and backward", "through the host", "floor"}
    assert len(report["step_ms"]) == 4
    figures = [*report["stages_ms"].values(), *loss.values(), *report["step_ms"].values()]
    assert all(figure > 0 for figure in figures)
    (share,) = (row["measured"] for name, row in report["targets"].items() if "share" in name)
    assert share == loss["forward and backward"] / min(report["step_ms"].values())
    for name in [*report["parity"], *report["stages_ms"], *report["step_ms"]]:
        assert name in done.stdout


def test_times_nothing_where_the_filter_is_wrong(bare_tree):
    path = bare_tree / "tests" / "data" / "odd_size.npz"
    arrays = dict(np.load(path))
    arrays["grad"] *= 1 + 2e-5
    np.savez(path, **arrays)
    done, report = run(bare_tree)
    assert done.returncode == 1
    assert "golden odd_size" in done.stderr and "voc_half" not in done.stderr
    assert report["parity"]["golden odd_size"] > 1e-5
    assert "stages_ms" not in report and "loss_ms" not in report


def test_says_what_to_do_without_a_gpu(bare_tree):
    script = bare_tree / "benchmarks" / "gpu.py"
    hidden = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=hidden)
    assert done.returncode == 1
    assert "--device cpu" in done.stderr
