"""The GPU benchmark, run on the CPU from a source tree in which nothing has been built."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bare_tree(tmp_path):
    unbuilt = shutil.ignore_patterns("*.so", "__pycache__")
    for folder in ("mmseg_rloss", "benchmarks", "tests/data"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=unbuilt)
    return tmp_path


def run(tree, *options):
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu"]
    command += ["--json", tree / "gpu.json", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tree)
    report = json.loads((tree / "gpu.json").read_text()) if (tree / "gpu.json").exists() else None
    return done, report


def test_measures_everything_and_writes_it(bare_tree):
    folder = bare_tree / "images"
    folder.mkdir()
    Image.new("RGB", (40, 30), (200, 30, 90)).save(folder / "image.webp")
    done, report = run(bare_tree, "--classes", "3", "--data", folder)
    assert done.returncode == 0, done.stderr
    assert report["setting"]["classes"] == 3 and report["setting"]["scale_factor"] == 0.5
    assert report["machine"]["kernels"] == "triton"
    assert report["machine"]["kernels_of_the_host"] == "reference"
    parity = report["parity"]
    assert len([name for name in parity if name.startswith("golden")]) == 6
    assert len([name for name in parity if "dimensions" in name]) == 8
    assert len([name for name in parity if name.startswith("loss")]) == 3
    assert all(error < 1e-5 for error in parity.values())
    assert len(report["loss_ms"]) == 5 and min(report["loss_ms"].values()) > 0
    steps = {name: row for name, row in report["step"].items() if name != "network"}
    assert len(steps) == 2 and all(row["wall"] > 0 for row in steps.values())
    for name in [*parity, *report["loss_ms"], *steps]:
        assert name in done.stdout


def test_a_folder_without_images_is_refused(bare_tree):
    done, _ = run(bare_tree, "--data", bare_tree / "benchmarks")
    assert done.returncode == 1 and "--data" in done.stderr


def test_images_that_nothing_can_read_are_named(bare_tree):
    absent = "raise ModuleNotFoundError(\"No module named 'mmseg'\", name='mmseg')"
    (bare_tree / "mmseg.py").write_text(absent)
    done, report = run(bare_tree, "--data", bare_tree)
    assert done.returncode == 1 and report is None
    assert "mmseg is not installed: leave it out" in done.stderr


def test_times_nothing_where_the_filter_is_wrong(bare_tree):
    data = bare_tree / "tests" / "data"
    for name in ("ade_many", "roi_half", "voc_half", "voc_scale1"):  # the twin is slow
        (data / f"{name}.npz").unlink()
    path = data / "odd_size.npz"
    arrays = dict(np.load(path))
    arrays["grad"] *= 1 + 2e-5
    np.savez(path, **arrays)
    done, report = run(bare_tree)
    assert done.returncode == 1
    assert "golden odd_size" in done.stderr and "binary_sharp" not in done.stderr
    assert report["parity"]["golden odd_size"] > 1e-5
    assert "loss_ms" not in report and "step" not in report


def test_says_what_to_do_without_a_gpu(bare_tree):
    hidden = {"CUDA_VISIBLE_DEVICES": "", "HIP_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "benchmarks.gpu"]
    done = subprocess.run(command, capture_output=True, text=True, env=hidden, cwd=bare_tree)
    assert done.returncode == 1
    assert "--device cpu" in done.stderr
