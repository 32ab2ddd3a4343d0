"""train_sample: the whole of it on a schedule of two iterations, and then again."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from mmseg_rloss.datasets import PascalScribbleDataset
from tests.children import run_tool
from tools import make_sample_dataset, train_sample

ROOT = Path(__file__).parents[2]
SHORT_CONFIG = f"""
_base_ = "{ROOT / train_sample.CONFIG}"
classes = {{{{_base_.classes}}}}
data = dict(data_root="data/sample")
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False, dataset=data)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)
test_dataloader = val_dataloader
train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=2))
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout with nothing made in it yet, whose sample is small and its training short."""
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    maker = tmp_path / "tools" / "make_sample_dataset.py"
    recipe = maker.read_text()
    for scenes, fewer in {"300": "8", "60": "9"}.items():
        assert f"default={scenes}," in recipe
        recipe = recipe.replace(f"default={scenes},", f"default={fewer},")
    maker.write_text(recipe)
    (tmp_path / "mmseg_rloss").symlink_to(ROOT / "mmseg_rloss")
    (tmp_path / "configs").mkdir()
    (tmp_path / train_sample.CONFIG).write_text(SHORT_CONFIG)
    return tmp_path


def train(checkout):
    """What a call prints, as the commands that it runs and the rest."""
    process = run_tool(checkout / "tools" / "train_sample.py")
    assert process.returncode == 0, process.stdout + process.stderr
    commands = re.findall(r"^\+ python tools/(\w+)\.py", process.stdout, re.MULTILINE)
    return commands, process.stdout


def interrupt(checkout):
    """Press Ctrl-C as soon as there is a checkpoint; return its iteration and what is said."""
    config = checkout / train_sample.CONFIG
    config.write_text(SHORT_CONFIG.replace("=2, val_interval=2", "=100_000, val_interval=100_000"))
    process = subprocess.Popen(
        [sys.executable, checkout / "tools" / "train_sample.py"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    pointer = checkout / train_sample.WORK_DIR / "last_checkpoint"
    while not (pointer.exists() and pointer.read_text()):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all that it runs
    output, _ = process.communicate()
    assert process.returncode == 130, output
    named = pointer.read_text()
    assert output.splitlines()[-2:] == [
        f"Interrupted; --resume goes on from {named}.",
        "Interrupted; `make train` goes on from here.",
    ]
    assert "Traceback" not in output
    return int(re.search(r"iter_(\d+)\.pth", named)[1])


def check_screen(text):
    """It shows progress and results; what is for those who look for it is in the log files."""
    assert "loss" in text and "mIoU" in text
    for_the_file = [
        "System environment:",
        "Config:\n",
        "Hooks will be executed",
        "build_loss",
        "The draw is False",
        "The prefix is not set",
        "HardDiskBackend",
    ]
    assert not [part for part in for_the_file if part in text]
    (warning,) = re.findall(r".*warning.*", text, re.IGNORECASE)
    assert "Advance dataloader" in warning, "which the resumption begins with"
    logs = re.findall(r"The whole log is in (\S+)", text)
    assert len(logs) == 2, "of the training and of the test"
    whole = Path(logs[0]).read_text()
    assert not [part for part in for_the_file if part not in whole]


def test_goes_on_after_ctrl_c_and_a_third_call_reports_the_same_without_training(checkout):
    iteration = interrupt(checkout)
    end = f"={iteration + 2}, val_interval={iteration + 2}"
    (checkout / train_sample.CONFIG).write_text(SHORT_CONFIG.replace("=2, val_interval=2", end))
    commands, first = train(checkout)
    assert commands == ["make_sample_dataset", "train", "test"]
    assert f"resumed epoch: 0, iter: {iteration}" in first
    check_screen(first)
    commands, second = train(checkout)
    assert commands == ["make_sample_dataset"]

    end = first[first.index("mIoU on the sample") :]
    assert second.endswith(end)
    assert "configs/deeplabv3plus_mobilenet_scribble.py" in end
    for title in ("checkpoint", "pictures"):
        assert (checkout / re.search(rf"{title} +(\S+)", end)[1]).is_file()
    tested = re.findall(r"Iter\(test\).* mIoU: ([\d.]+)", first)[-1]
    assert f"{float(tested):.1f} %" in end


def test_a_right_prediction_is_drawn_as_the_mask_is_and_leaves_the_background_clear(
    checkout, monkeypatch, figures
):
    monkeypatch.chdir(checkout)
    make_sample_dataset.main(["--train", "1", "--val", "1"])
    config = Config.fromfile(train_sample.CONFIG)
    mask = np.array(Image.open("data/sample/SegmentationClassAug/val_0000.png"))
    voc_labels = [PascalScribbleDataset.METAINFO["classes"].index(name) for name in config.classes]
    prediction = np.searchsorted(voc_labels, mask).astype(np.uint8)
    Path("evaluation/predictions").mkdir(parents=True)
    Image.fromarray(prediction).save("evaluation/predictions/val_0000.png")
    assert train_sample.draw(Path("evaluation"), config).is_file()
    (figure,) = figures
    assert [axis.get_title() for axis in figure.axes] == [
        "image",
        "scribbles",
        "prediction",
        "mask",
    ]
    image, _, predicted, masked = (axis.images[0].get_array() for axis in figure.axes)
    assert np.array_equal(predicted, masked)
    assert np.array_equal(masked[mask == 0], image[mask == 0])
    assert not np.array_equal(masked[mask != 0], image[mask != 0])
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == [config.classes[label] for label in np.unique(prediction)]


def test_a_checkpoint_that_broke_off_is_trained_again(tmp_path, monkeypatch):
    config = Config.fromfile(ROOT / train_sample.CONFIG)
    checkpoint = tmp_path / f"iter_{config.train_cfg.max_iters}.pth"
    torch.save(dict(weight=torch.zeros(9)), checkpoint)
    called = []
    monkeypatch.setattr(train_sample, "WORK_DIR", tmp_path)
    monkeypatch.setattr(train_sample, "run_tool", lambda *arguments: called.append(arguments[0]))
    assert train_sample.train(config) == checkpoint and not called
    checkpoint.write_bytes(checkpoint.read_bytes()[:-100])
    train_sample.train(config)
    assert called == ["train.py"]


def test_scores_that_broke_off_are_evaluated_again(tmp_path, monkeypatch):
    checkpoint, scores = tmp_path / "iter_2.pth", tmp_path / "evaluation" / "now" / "now.json"
    checkpoint.touch()
    os.utime(checkpoint, (1, 1))
    scores.parent.mkdir(parents=True)
    scores.write_text('{"mIoU": 5')

    def evaluate_again(*arguments):
        scores.parent.mkdir(parents=True)
        scores.write_text('{"mIoU": 50.0}')

    monkeypatch.setattr(train_sample, "run_tool", evaluate_again)
    assert train_sample.evaluate(checkpoint, tmp_path / "evaluation") == scores
    assert scores.read_text() == '{"mIoU": 50.0}'
