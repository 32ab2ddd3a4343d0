"""The tools can be reached from the package."""

import subprocess
import sys
from pathlib import Path

import pytest

from mmseg_rloss import __main__ as entry

ROOT = Path(__file__).parents[1]


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "mmseg_rloss", *arguments]
    environment = {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_lists_every_tool_by_what_it_does(tmp_path, arguments):
    process = run(*arguments, folder=tmp_path)
    assert process.returncode == 0, process.stderr
    listed = dict(line.split(maxsplit=1) for line in process.stdout.splitlines()[1:])
    assert listed.keys() == entry.TOOLS.keys()
    assert listed["train"].startswith("Train")
    assert all(text[0].isupper() for text in listed.values())


def test_a_tool_gets_the_arguments_and_its_status_is_the_command_s(tmp_path):
    process = run("make-scribbles", "nowhere", "--out", "labels", folder=tmp_path)
    assert process.returncode == 1
    assert process.stderr.startswith("nowhere")


def test_another_name_is_refused_with_those_that_there_are(tmp_path):
    process = run("trian", folder=tmp_path)
    assert process.returncode == 1
    assert "'trian' is not a tool" in process.stderr and "train " in process.stderr


def test_every_tool_for_users_is_there():
    others = {"check_machine.py", "make_sample_dataset.py", "mmseg_tool.py", "train_sample.py"}
    tools = {path.relative_to(ROOT / "tools").as_posix() for path in ROOT.glob("tools/**/*.py")}
    assert set(entry.TOOLS.values()) == tools - others | {"../demo/web.py"}
