"""The benchmark of mean-field inference runs, on a small case, and writes its figures."""

import importlib.util
import json
from pathlib import Path

FILE = Path(__file__).resolve().parents[2] / "benchmarks/mean_field.py"


def test_prints_and_writes_the_table(monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(FILE.parent)
    spec = importlib.util.spec_from_file_location("benchmarks_mean_field", FILE)
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    file = tmp_path / "figures.json"
    arguments = f"mean_field.py --size 20 15 --classes 3 --repeats 2 --json {file}"
    monkeypatch.setattr("sys.argv", arguments.split())
    benchmark.main()
    printed = capsys.readouterr().out
    assert "20x15" in printed and "a drawn image" in printed
    times = json.loads(file.read_text())["times"]
    assert all(len(times[name]) == 2 and min(times[name]) > 0 for name in ("compiled", "twin"))
