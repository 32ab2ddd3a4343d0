"""The benchmark of busy neighbours runs, on a small case, and writes its figures."""

import json
from pathlib import Path

from benchmarks import neighbours

ROOT = Path(__file__).resolve().parents[2]


def test_prints_and_writes_the_table(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(neighbours, "SETTINGS", {"asleep": {"OMP_WAIT_POLICY": "PASSIVE"}})
    config = ROOT / "configs/deeplabv3plus_mobilenet_scribble_sample.py"
    figures = tmp_path / "figures.json"
    neighbours.main(f"{config} --neighbours 1 --steps 2 --json {figures}".split())
    assert "1 neighbours, asleep" in capsys.readouterr().out
    times = json.loads(figures.read_text())["times"]
    assert list(times) == ["1 neighbours, asleep"]
    assert len(times["1 neighbours, asleep"]) == 2 and min(times["1 neighbours, asleep"]) > 0
