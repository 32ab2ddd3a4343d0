"""The whole path as a user walks it: train, resume, test, with the tools and with MMSeg's own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import mmseg
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.apis import inference_model, init_model
from PIL import Image

from tests.children import run_tool
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
OUR_TOOLS = ROOT / "tools"
MMSEG_TOOLS = Path(mmseg.__file__).parent / ".mim" / "tools"
CONFIG = Path(__file__).parent / "tiny.py"
EPOCHS = 2
ITERATIONS_PER_EPOCH = 2  # four images, two in a batch


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """The sample data set, small."""
    folder = tmp_path_factory.mktemp("data") / "sample"
    sizes = ["--train", "4", "--val", "2", "--size", "96", "80"]
    run([OUR_TOOLS / "make_sample_dataset.py", "--out", folder, *sizes])
    return folder


def run(command, cwd=None, data=None, **environment):
    """Run a tool; return all that it prints once it has ended well, unwarned by us."""
    if data:
        environment["PASCAL_SCRIBBLE_ROOT"] = str(data)
    environment = environment_of(**environment)
    if command[0].suffix == ".py":
        process = run_tool(*command, cwd=cwd, **environment)
    else:
        command = list(map(str, command))
        process = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    told = process.stdout + process.stderr
    assert process.returncode == 0, told
    assert not re.findall(r".*mmseg_rloss/\S+\.py:\d+: \w*Warning.*", told)
    return told


def environment_of(**environment):
    """The environment of a tool in a test."""
    return {
        **os.environ,
        "PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "always",
        "OMP_NUM_THREADS": "1",
        **environment,
    }


def training_losses(log):
    """The terms of the loss in each training iteration of a log, once they have been added up."""
    lines = [line for line in log.splitlines() if "Epoch(train)" in line]
    iterations = [dict(re.findall(r"(\S*loss\S*): (\S+)", line)) for line in lines]
    for terms in iterations:
        total = float(terms.pop("loss"))
        assert total == pytest.approx(sum(map(float, terms.values())), abs=1e-3)
        assert float(terms["decode.loss_densecrf"]) < 0
    return iterations


def mean_iou(work_dir):
    """What the last evaluation below the folder has written."""
    scores = max(work_dir.glob("*/*.json"), key=lambda path: path.stat().st_mtime)
    return json.loads(scores.read_text())["mIoU"]


@pytest.mark.parametrize("tools", [OUR_TOOLS, MMSEG_TOOLS], ids=["tools", "mmseg tools"])
def test_train_resume_test(tools, data, tmp_path):
    train = [tools / "train.py", CONFIG, "--work-dir", tmp_path / "work"]
    one_epoch = ["--cfg-options", "train_cfg.max_epochs=1"]

    log = run([*train, *one_epoch], cwd=tmp_path, data=data)
    assert len(training_losses(log)) == ITERATIONS_PER_EPOCH

    log = run([*train, "--resume"], cwd=tmp_path, data=data)
    assert "resumed epoch: 1" in log
    assert len(training_losses(log)) == ITERATIONS_PER_EPOCH  # of the second epoch alone
    validated = float(re.findall(r"mIoU: ([\d.]+)", log)[-1])

    checkpoint = tmp_path / "work" / f"epoch_{EPOCHS}.pth"
    test = [tools / "test.py", CONFIG, checkpoint, "--work-dir", tmp_path / "evaluation"]
    run(test, cwd=tmp_path, data=data)
    assert mean_iou(tmp_path / "evaluation") == pytest.approx(validated, abs=0.01)


def test_the_dense_crf_refines_by_an_option_of_the_test_tool(data, tmp_path):
    config = Config.fromfile(CONFIG)
    config.test_pipeline = [step for step in config.test_pipeline if step["type"] != "Resize"]
    torch.manual_seed(0)
    plain = init_model(config, device="cpu")
    images = sorted(map(str, (data / "JPEGImages").iterdir()))
    layer = plain.decode_head.conv_seg
    torch.nn.init.normal_(layer.weight, std=20)
    layer.bias.data -= inference_model(plain, images[0]).seg_logits.data.mean((1, 2))
    checkpoint = tmp_path / "network.pth"
    torch.save(dict(state_dict=plain.state_dict(), meta={}), checkpoint)

    options = {"model.type": "DenseCRFEncoderDecoder", "model.dense_crf.iterations": 3}
    as_they_are = "test_dataloader.dataset.pipeline.1.scale=(96,80)"
    run(
        [OUR_TOOLS / "test.py", CONFIG, checkpoint, "--out", tmp_path / "masks", "--cfg-options"]
        + [as_they_are, *(f"{key}={value}" for key, value in options.items())],
        cwd=tmp_path,
        data=data,
    )
    refining = init_model(config, str(checkpoint), device="cpu", cfg_options=options)
    masks = {path.stem: path for path in (tmp_path / "masks").iterdir()}
    assert len(masks) == 2
    for image in (image for image in images if Path(image).stem in masks):
        with Image.open(masks[Path(image).stem]) as mask:
            assert mask.getpalette()[3:6] == [128, 0, 0], "VOC's colour of its first class"
            labels = torch.from_numpy(np.array(mask))
        assert torch.equal(labels, inference_model(refining, image).pred_sem_seg.data[0])
        assert not torch.equal(labels, inference_model(plain, image).pred_sem_seg.data[0])


def test_resumes_after_any_interruption(data, tmp_path):
    """By Ctrl-C, by what a cluster sends first, and by what it sends last."""
    train = [OUR_TOOLS / "train.py", CONFIG, "--work-dir", tmp_path / "work", "--resume"]
    pointer = tmp_path / "work" / "last_checkpoint"
    epoch = 0
    for name in ("SIGINT", "SIGTERM", "SIGKILL"):
        log = tmp_path / f"log_{name}"
        interrupt(train, getattr(signal, name), pointer, log, data)
        assert (f"resumed epoch: {epoch}" in log.read_text()) == (epoch > 0)
        epoch = int(re.findall(r"epoch_(\d+).pth", pointer.read_text())[0])
        # What a kill in the middle of saving leaves.
        (tmp_path / "work" / f"epoch_{epoch + 1}.pth").write_bytes(b"half a checkpoint")

    log = run([*train, "--cfg-options", f"train_cfg.max_epochs={epoch + 1}"], data=data)
    assert f"resumed epoch: {epoch}" in log
    assert len(training_losses(log)) == ITERATIONS_PER_EPOCH
    assert f"epoch_{epoch + 1}.pth" in pointer.read_text()


def interrupt(train, number, pointer, log, data):
    """Send a training without end the signal of that number once it has saved a checkpoint."""
    before = pointer.read_text() if pointer.exists() else ""
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *map(str, train), "--cfg-options", "train_cfg.max_epochs=1000"],
            env=environment_of(PASCAL_SCRIBBLE_ROOT=str(data)),
            stdout=output,
            stderr=output,
        )
        while not (pointer.exists() and pointer.read_text() not in ("", before)):
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        process.send_signal(number)
        assert process.wait() != 0


def test_two_processes_share_the_epoch(data, tmp_path):
    train = [OUR_TOOLS / "dist_train.sh", CONFIG, 2, "--work-dir", tmp_path / "work"]
    log = run(train, cwd=tmp_path, data=data, PORT=str(free_port()))
    (whole_log,) = (tmp_path / "work").glob("*/*.log")
    assert "Distributed training: True" in whole_log.read_text()
    assert len(training_losses(log)) == EPOCHS * ITERATIONS_PER_EPOCH // 2
    assert "mIoU" in log
