"""The benchmark of soft labels runs, on a small case, and writes its figures."""

import json
import math
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from benchmarks import label_quality
from tools import make_sample_dataset

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "configs/deeplabv3plus_mobilenet_scribble_self_label_sample.py"


def save_random_network(path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    init_default_scope("mmseg")
    config = Config.fromfile(CONFIG)
    config.model.pretrained = None
    torch.save(dict(state_dict=MODELS.build(config.model).state_dict()), path)


def test_what_is_left_out_does_not_count(tmp_path, capsys):
    data = tmp_path / "data"
    make_sample_dataset.main(["--out", str(data), "--train", "2", "--val", "1"])
    figures = []
    for number, seed in enumerate((0, 1, 1)):
        checkpoint, file = tmp_path / f"{seed}.pth", tmp_path / f"{number}.json"
        save_random_network(checkpoint, seed)
        arguments = f"{CONFIG} {checkpoint} --batches 1 --json {file} --cfg-options"
        options = [f"train_dataloader.dataset.data_root={data}", "train_dataloader.batch_size=2"]
        torch.seed()
        label_quality.main([*arguments.split(), *options])
        assert "soft labels without scribbles" in capsys.readouterr().out
        figures.append(json.loads(file.read_text())["figures"])
    first, second, repeated = figures
    assert repeated == second
    networkless = {way for way in first if "without the network" in way or "network and" in way}
    assert {way for way in first if first[way] == second[way]} == networkless
    # Scribbles and colours alone label most pixels of these scenes rightly; chance does not.
    assert all(first[way]["accuracy"] > 60 for way in networkless)
    assert first["network alone"]["accuracy"] < 60


def test_confidence_and_log_loss_of_labels():
    soft = torch.tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]])
    sums = label_quality.trust_in(soft, torch.tensor([1, 2]))
    assert sums.tolist() == pytest.approx([0.5 + 1, math.log(4) + math.log(1000)])
    figures = label_quality.scores(torch.tensor([[1.0, 0], [1, 1], [1, 1], [1, 1]]), sums)
    assert figures["confidence"] == pytest.approx(75)
    assert figures["log_loss"] == pytest.approx(math.log(4000) / 2)
