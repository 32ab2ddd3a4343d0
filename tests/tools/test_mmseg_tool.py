"""What tools/train.py and tools/test.py say where MMSegmentation's end in a traceback."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from mmseg_rloss.datasets import DatasetFilesError
from tests import children
from tests.engine.training import training_config, write_config, write_data_set
from tests.ports import free_port
from tests.tools.network import write_image, write_network
from tools.mmseg_tool import (
    distribute_on_cpu,
    leave_process_group,
    look_at_checkpoint,
    look_for_checkpoint,
    look_for_data,
    where_to_go_on,
)
from tools.mmseg_tool import run as run_tool

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "deeplabv3plus_mobilenet_scribble.py"


def run(tool, *arguments, cwd, **environment):
    return children.run_tool(ROOT / "tools" / tool, *arguments, cwd=cwd, **environment)


def check_message(process, *parts):
    """The tool has said this, without a traceback, before MMEngine's log begins."""
    assert process.returncode == 2, process.stderr
    for part in parts:
        assert part in process.stderr
    assert "Traceback" not in process.stderr
    assert "System environment" not in process.stdout + process.stderr


@pytest.fixture
def refusal(monkeypatch, capsys, tmp_path):
    """What a tool says that stops before it logs anything, in this process, which has imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")

    def run_here(tool, *arguments):
        monkeypatch.setattr(sys, "argv", [tool])
        with pytest.raises(SystemExit) as stop:
            run_tool(tool, list(map(str, arguments)))
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, stop.value.code, out, err)

    return run_here


@pytest.mark.parametrize(
    "arguments, labels",
    [
        (["train.py", CONFIG], "pascal_2012_scribble/"),
        (["test.py", CONFIG, "x.pth"], "SegmentationClassAug/"),
    ],
    ids=["train", "test"],
)
def test_absent_data_are_named_before_the_log_begins(tmp_path, arguments, labels):
    folder = tmp_path / "voc"
    process = run(*arguments, cwd=tmp_path, PASCAL_SCRIBBLE_ROOT=str(folder))
    check_message(process, str(folder), "JPEGImages/", labels, "make train")
    assert list(tmp_path.iterdir()) == []


def test_an_incomplete_data_set_is_reported_by_its_files(tmp_path, monkeypatch, refusal):
    for name in ("JPEGImages", "SegmentationClassAug", "pascal_2012_scribble"):
        (tmp_path / name).mkdir()
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split in ("train_aug", "val"):
        (lists / f"{split}.txt").write_text("2007_000032\n")
    monkeypatch.setenv("PASCAL_SCRIBBLE_ROOT", str(tmp_path))
    missing = f"{tmp_path}/JPEGImages/2007_000032.jpg: missing"
    check_message(refusal("train.py", CONFIG), missing)


def test_mixed_precision_is_refused_on_the_cpu(tmp_path):
    process = run("train.py", CONFIG, "--amp", cwd=tmp_path, CUDA_VISIBLE_DEVICES="")
    check_message(process, "--amp needs a GPU")


@pytest.mark.parametrize(
    "checkpoints, remedy",
    [
        ([], "delete it to begin anew"),
        (["iter_400.pth", "iter_1200.pth", "best_mIoU.pth"], "such as runs/iter_1200.pth"),
    ],
    ids=["none", "some"],
)
@pytest.mark.parametrize("options", [["--work-dir", "runs"], ["--cfg-options", "work_dir=runs"]])
def test_an_empty_pointer_to_the_checkpoint_is_reported_with_the_remedy(
    tmp_path, refusal, options, checkpoints, remedy
):
    runs = tmp_path / "runs"
    runs.mkdir()
    for age, name in enumerate(reversed(checkpoints)):
        (runs / name).touch()
        os.utime(runs / name, (1e9 - age, 1e9 - age))
    (runs / "last_checkpoint").touch()
    config = tmp_path / "config.py"
    config.write_text("")
    process = refusal("train.py", config, "--resume", *options)
    check_message(process, "runs/last_checkpoint, where --resume begins, is empty", remedy)


@pytest.mark.parametrize("text", [None, "model = dict("])
def test_a_file_that_is_not_a_config_is_named(tmp_path, refusal, text):
    config = tmp_path / "config.py"
    if text:
        config.write_text(text)
    check_message(refusal("train.py", config), f"{config} cannot be read as a config")


def test_a_work_dir_on_a_disk_that_is_not_there_is_reported(tmp_path, refusal):
    (tmp_path / "config.py").touch()
    (tmp_path / "runs").symlink_to(tmp_path / "unmounted")
    process = refusal("train.py", "config.py", "--work-dir", "runs")
    check_message(process, "work_dir: runs is a link to", "is its disk mounted?")


def test_a_missing_pkg_resources_is_reported_with_the_remedy(tmp_path):
    (tmp_path / "pkg_resources.py").write_text(
        "raise ModuleNotFoundError('not there', name='pkg_resources')\n"
    )
    config = tmp_path / "config.py"
    config.write_text("_base_ = 'mmseg::_base_/default_runtime.py'\n")
    process = run("train.py", config, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    check_message(process, 'pip install "setuptools<81"')


def test_the_slurm_launcher_without_slurm_is_reported(refusal):
    process = refusal("train.py", CONFIG, "--launcher", "slurm")
    check_message(process, "for tasks of srun", "tools/slurm_train.sh", "tools/dist_train.sh")


def test_machines_that_do_not_find_each_other_are_told_what_to_set(monkeypatch, capsys):
    for name, value in dict(
        RANK="0",
        WORLD_SIZE="1",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(free_port()),
        GLOO_SOCKET_IFNAME="absent",
    ).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        distribute_on_cpu()
    message = capsys.readouterr().err
    for part in ("MASTER_ADDR", "GLOO_SOCKET_IFNAME", "ip address", "absent"):
        assert part in message


def test_a_resumed_training_needs_the_weights_it_began_with_no_more(tmp_path):
    write_data_set(tmp_path / "set")
    initial = tmp_path / "set" / "initial.pth"
    pretrained = tmp_path / "set" / "pretrained.pth"
    shutil.copy(initial, pretrained)
    config = training_config(tmp_path / "set", tmp_path / "work")
    config["model"]["backbone"]["init_cfg"] = dict(
        type="Pretrained", checkpoint=str(pretrained), prefix="backbone."
    )
    config["default_hooks"]["checkpoint"]["interval"] = 1
    train = ["train.py", write_config(config), "--resume", "--cfg-options"]

    process = run(*train, "train_cfg.max_iters=1", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    for weights in (initial, pretrained):
        assert str(weights) in process.stdout + process.stderr
        weights.unlink()
    process = run(*train, "train_cfg.max_iters=2", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "resumed epoch: 0, iter: 1" in process.stdout + process.stderr


def test_machines_that_resume_from_different_checkpoints_are_stopped(tmp_path):
    write_data_set(tmp_path / "set")
    config = training_config(tmp_path / "set", tmp_path / "of_0")
    path = write_config(config)
    path.write_text(path.read_text().replace("/of_0", "/of_{{$RANK:}}"))
    torch.save(dict(weight=torch.zeros(9)), tmp_path / "iter_1.pth")
    (tmp_path / "of_0" / "last_checkpoint").write_text(str(tmp_path / "iter_1.pth"))
    first, second = children.run_two_processes(ROOT / "tools" / "train.py", path, "--resume")
    assert first.returncode == second.returncode == 2
    assert "not all machines find the same checkpoint" in first.stderr
    assert "a disk that they share" in first.stderr
    assert "--resume" not in second.stderr, "it is said once on a machine"


def openmp_settings(*command, **environment):
    """What OpenMP itself says as a tool imports PyTorch."""
    others = {name: value for name, value in os.environ.items() if "OMP" not in name}
    process = subprocess.run(
        [sys.executable, *command],
        env=others | environment | {"OMP_DISPLAY_ENV": "VERBOSE"},
        capture_output=True,
        text=True,
    )
    return process.stderr


@pytest.mark.parametrize(
    "environment, policy, spins",
    [
        ({}, "PASSIVE", "0"),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE", "30000000000"),
        ({"GOMP_SPINCOUNT": "123"}, "PASSIVE", "123"),
    ],
    ids=["unset", "policy", "spins"],
)
def test_openmp_waits_asleep_unless_the_user_says_otherwise(tmp_path, environment, policy, spins):
    (tmp_path / "mmseg.py").write_text("import torch\nraise SystemExit\n")
    settings = openmp_settings(ROOT / "tools" / "train.py", PYTHONPATH=str(tmp_path), **environment)
    assert f"OMP_WAIT_POLICY = '{policy}'" in settings, settings
    assert f"GOMP_SPINCOUNT = '{spins}'" in settings


@pytest.mark.parametrize("tool", ["predict.py", "visualize_densecrf.py"])
def test_openmp_waits_asleep_where_a_network_predicts(tmp_path, tool):
    (tmp_path / "mmengine.py").write_text("raise SystemExit\n")  # comes after PyTorch
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    settings = openmp_settings(ROOT / "tools" / tool, PYTHONPATH=path)
    assert "GOMP_SPINCOUNT = '0'" in settings, settings  # the policy reads so without any, too


def test_a_python_without_mmsegmentation_is_told_what_to_install(tmp_path):
    (tmp_path / "mmseg.py").write_text("raise ModuleNotFoundError('not there', name='mmseg')\n")
    process = run("train.py", CONFIG, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    check_message(process, "mmseg is not installed", "make setup")


def test_the_threads_of_a_process_group_end_while_the_interpreter_lives():
    before = native_threads()
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    wrapper = DistributedDataParallel(torch.nn.Linear(2, 1))
    wrapper(torch.ones(1, 2)).sum().backward()
    assert len(native_threads() - before) > 1
    wrapper.runner = wrapper  # As a Runner's hooks refer to it.
    del wrapper
    leave_process_group()
    assert not distributed.is_initialized()
    assert not {name for name in native_threads() - before if "gloo" in name}


def native_threads():
    """Number and name of each thread of this process, whoever started it."""
    tasks = Path("/proc/self/task").iterdir()
    return {f"{task.name} {(task / 'comm').read_text()}" for task in tasks}


def test_a_pointer_to_a_checkpoint_that_broke_off_is_reported_with_the_remedy(tmp_path, capsys):
    for name in ("iter_2.pth", "iter_4.pth"):
        torch.save(dict(weight=torch.zeros(9)), tmp_path / name)
    pointer = tmp_path / "last_checkpoint"
    pointer.write_text(str(tmp_path / "iter_4.pth"))
    look_for_checkpoint(tmp_path)
    (tmp_path / "iter_4.pth").write_bytes((tmp_path / "iter_4.pth").read_bytes()[:-100])
    with pytest.raises(SystemExit):
        look_for_checkpoint(tmp_path)
    message = capsys.readouterr().err
    assert f"names {tmp_path}/iter_4.pth, which is not there or broke off" in message
    assert f"such as {tmp_path}/iter_2.pth" in message


def test_ctrl_c_as_a_checkpoint_is_written_ends_without_a_traceback(tmp_path):
    write_data_set(tmp_path / "set")
    config = training_config(tmp_path / "set", tmp_path / "work")
    config["default_hooks"]["checkpoint"]["interval"] = 1
    config["custom_hooks"].append(dict(type="CtrlCAsTheConfigIsFormatted", priority="LOWEST"))
    process = run("train.py", write_config(config), cwd=tmp_path)
    assert process.returncode == 130, process.stderr
    assert process.stderr.splitlines()[-1].endswith(
        "--resume goes on from " + str(tmp_path / "work/iter_1.pth.")
    )
    assert "Traceback" not in process.stderr


def test_ctrl_c_promises_to_go_on_from_a_checkpoint_that_is_there_alone(tmp_path):
    assert "holds no checkpoint yet" in where_to_go_on(tmp_path)
    checkpoint, pointer = tmp_path / "iter_2.pth", tmp_path / "last_checkpoint"
    torch.save(dict(weight=torch.zeros(9)), checkpoint)
    pointer.write_text(str(checkpoint))
    assert where_to_go_on(tmp_path).endswith(f"--resume goes on from {checkpoint}.")
    pointer.write_text("")
    assert "is empty" in where_to_go_on(tmp_path)
    pointer.write_text(str(tmp_path / "iter_4.pth"))  # MMEngine removes it before the next is there
    message = where_to_go_on(tmp_path)
    assert "iter_4.pth, which is not there" in message and f"such as {checkpoint}" in message


def test_a_test_of_another_network_is_refused(tmp_path, capsys):
    network = write_network(tmp_path)
    config = Config.fromfile(network.config)
    look_at_checkpoint(config, network.checkpoint)
    torch.save(dict(state_dict={}), tmp_path / "other.pth")
    for name, message in {
        "other.pth": "25 of 25 of the backbone",
        "absent.pth": "absent.pth cannot be loaded",
    }.items():
        with pytest.raises(SystemExit):
            look_at_checkpoint(config, str(tmp_path / name))
        assert message in capsys.readouterr().err


def test_a_list_without_an_image_is_reported(tmp_path):
    for name in ("JPEGImages", "SegmentationClassAug", "pascal_2012_scribble"):
        (tmp_path / name).mkdir()
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train_aug.txt").write_text("\n")
    for dataset in (
        dict(type="PascalScribbleDataset", data_root=str(tmp_path)),
        dict(type="BaseSegDataset", data_root=str(lists), ann_file="train_aug.txt"),
    ):
        config = Config(dict(train_dataloader=dict(dataset=dataset)))
        with pytest.raises(DatasetFilesError, match=r"train_aug\.txt names no image.*one a line"):
            look_for_data(config, ("train_dataloader",))


def test_predictions_that_would_share_a_file_are_refused(tmp_path):
    for name in ("a/x.png", "b/x.png", "y.png"):
        for folder in ("images", "masks"):
            write_image(tmp_path / folder / name)
    network = write_network(tmp_path)
    config = Config.fromfile(network.config)
    config.test_dataloader = dict(
        dataset=dict(
            type="ScribbleDataset",
            data_root=str(tmp_path),
            labels="mask",
            metainfo=dict(classes=("ground", "leaf")),
        )
    )
    config.dump(network.config)
    process = run("test.py", *network[:2], "--out", "predictions", cwd=tmp_path)
    check_message(process, "2 images to test on are named x", "leave out --out")


@pytest.mark.parametrize(
    "model, options",
    [
        (
            dict(pretrained="U"),
            "model.pretrained=FILE, or begin without by --cfg-options model.pre",
        ),
        (
            dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint="U"))),
            "checkpoint=FILE, or begin without by --cfg-options model.backbone.init_cfg=None",
        ),
    ],
)
def test_weights_that_cannot_be_downloaded_are_reported_with_the_options(tmp_path, model, options):
    write_data_set(tmp_path / "set", count=1)
    config = Config(training_config(tmp_path / "set", tmp_path / "work"))
    address = f"http://127.0.0.1:{free_port()}/weights.pth"  # where nobody answers
    config.merge_from_dict(dict(model=model, load_from=None))
    text = config.pretty_text.replace("'U'", repr(address))
    (tmp_path / "config.py").write_text(f"{text}\ncustom_imports = dict(imports=['mmseg_rloss'])\n")
    process = run("train.py", "config.py", cwd=tmp_path)
    assert process.returncode == 2, process.stderr
    assert f"{address} cannot be downloaded" in process.stderr
    assert options in process.stderr
    assert "Traceback" not in process.stderr
