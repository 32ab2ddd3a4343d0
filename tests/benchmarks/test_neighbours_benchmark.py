"""The benchmark of busy neighbours runs, on a small case, and writes its figures."""

import importlib.util
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "benchmarks/neighbours.py"


def test_prints_and_writes_the_table(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    spec = importlib.util.spec_from_file_location("benchmarks_neighbours", FILE)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    monkeypatch.setattr(benchmark, "SETTINGS", {"asleep": {"OMP_WAIT_POLICY": "PASSIVE"}})
    config = ROOT / "configs/deeplabv3plus_mobilenet_scribble_sample.py"
    figures = tmp_path / "figures.json"
    arguments = f"{FILE} {config} --neighbours 1 --steps 2 --json {figures}"
    monkeypatch.setattr("sys.argv", arguments.split())
    benchmark.main()
    assert "1 neighbours, asleep" in capsys.readouterr().out
    times = json.loads(figures.read_text())["times"]
    assert list(times) == ["1 neighbours, asleep"]
    assert len(times["1 neighbours, asleep"]) == 2 and min(times["1 neighbours, asleep"]) > 0
