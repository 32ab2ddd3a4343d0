"""The benchmark of the CPU filter runs, on small cases, and its figures hang together."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import filter as filter_benchmark
from benchmarks import images as benchmark_images

FILE = Path(__file__).resolve().parents[2] / "benchmarks/filter.py"


@pytest.fixture
def benchmark(monkeypatch):
    module = filter_benchmark
    monkeypatch.setattr(module, "ROTATED_BYTES", 1 << 20)
    monkeypatch.setattr(module, "LINEARITY_SIZES", (16, 40))
    monkeypatch.setattr(module, "LINEARITY_CHANNELS", (1, 9))
    monkeypatch.setattr(module, "MEMORY_CASES", ())
    monkeypatch.setattr(module, "LOSS", {**module.LOSS, "batch": 2, "size": 40, "classes": 3})
    return module


def test_prints_and_writes_every_table(benchmark, tmp_path, capsys):
    file = tmp_path / "figures.json"
    benchmark.main(f"--sizes 33 --channels 3 --repeats 2 --json {file}".split())
    printed = capsys.readouterr().out
    for part in ("embedding", "total / copy", "plain PyTorch", "2 x 33x33", "the loss from logits"):
        assert part in printed
    report = json.loads(file.read_text())
    stages = report["stages"]["33"]
    assert all(
        len(stages[name]) == 2 and min(stages[name]) > 0 for name in ("total", benchmark.COPY)
    )
    names = ("embedding", "neighbours", "splat", "blur", "slice")
    assert sum(stages[name][0] for name in names) <= stages["total"][0]
    tables = report["tables"]
    assert list(tables) == ["stages", "threads", "loss", "more pixels", "more channels", "memory"]
    assert tables["stages"]["columns"] == ["ms", "33x33x3"]
    assert [row[0] for row in tables["stages"]["rows"]][:5] == list(names)


def test_the_measured_filter_is_the_public_one(benchmark):
    case, _ = next(benchmark.Images(*benchmark_images.load_images(None)).rotation(2, 33, 5))
    benchmark.run_native(case, 1)
    sigmas = benchmark.SIGMA_RGB, benchmark.sigma_xy(33)
    expected = benchmark.bilateral_filter(case.image, case.values, *sigmas)
    assert case.result.equal(expected)


def test_what_is_compared_gets_the_same_images(benchmark, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmark, "ROTATED_BYTES", 1)  # All images take turns nevertheless.
    for i in range(5):  # one more than are taken
        Image.new("RGB", (8, 8), (60 * i, 0, 0)).save(tmp_path / f"{i}.jpg", quality=100)
    images = benchmark.Images(*benchmark_images.load_images(tmp_path))
    assert images.source == "4 images"
    for count, expected in ((1, [0, 1, 2, 3, 0]), (2, [0, 2, 0, 2, 0])):
        rotation = images.rotation(count, 8, 1)
        for first, (case, other) in zip(expected, rotation, strict=False):
            assert abs(case.image[0, 0] - 60 * first).max() <= 2  # of a JPEG
            assert other.image.equal(case.image)
            assert other.image.data_ptr() != case.image.data_ptr()
    assert images.typical([1.0, 20, 300, 4000, 3, 40, 500, 6000], count=1) == 1358.0
    assert images.typical([1.0, 20, 3, 40, 100, 60], count=2) == 21.5


def test_peak_memory_holds_the_result():
    # A process of its own, as in the benchmark: this one has freed memory to give.
    code = f"import runpy; print(*runpy.run_path({str(FILE)!r})['_peak_memory'](300, 64))"
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, cwd=FILE.parent, check=True, capture_output=True).stdout
    values, more = map(float, printed.split())
    assert values == pytest.approx(300 * 300 * 64 * 4 / 2**20)
    assert values < more < 3 * values
