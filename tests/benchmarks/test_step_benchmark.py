"""The benchmark of a training step runs, on a small case, and writes its figures."""

import json
from pathlib import Path

from benchmarks import step
from tools import make_sample_dataset

ROOT = Path(__file__).resolve().parents[2]


def test_prints_and_writes_the_table(tmp_path, capsys):
    data, file = tmp_path / "data", tmp_path / "figures.json"
    make_sample_dataset.main(["--out", str(data), "--train", "2", "--val", "1"])
    config = ROOT / "configs/deeplabv3plus_mobilenet_scribble_self_label_sample.py"
    arguments = f"{config} --repeats 2 --json {file} --cfg-options"
    options = [f"train_dataloader.dataset.data_root={data}", "train_dataloader.batch_size=2"]
    step.main([*arguments.split(), *options])
    assert "loss_self_label" in capsys.readouterr().out
    times = json.loads(file.read_text())["times"]
    assert {name: len(taken) for name, taken in times.items()} == dict(without=2, loss_self_label=2)
    assert min(map(min, times.values())) > 0
