"""One training of a comparison: started, resumed, or skipped if it is finished."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from mmengine.config import Config

from ..__main__ import tools_folder
from ..checkpoint import is_whole
from .scores import Result, measure
from .variants import WARMUP, ComparisonError, hooks, type_name


def run(config: Config, folder: Path, warm: Path | None) -> Result:
    """Train to the end and measure, unless this has been done already.

    Args:
        config: Of this training.
        folder: What it writes; its config lies beside it.
        warm: The folder of a training whose checkpoint at the end of the warm-up, if it is there,
            this one begins at.

    Raises:
        ComparisonError: The folder holds another training, or a broken result, or it failed.
        CheckpointError: Its last checkpoint cannot be measured.
    """
    finished = folder / "result.json"
    config_file = folder.with_suffix(".py")  # in the folder, MMSeg puts its own copy
    if config_file.exists() and config_file.read_text(encoding="utf-8") != config.pretty_text:
        raise ComparisonError(f"{folder} holds a training by another config: name another --out.")
    if not finished.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(config_file, config.pretty_text)
        if warm:
            take_warmup(config, warm, folder)
        train(config_file, folder)
        write_whole(finished, json.dumps(measure(config, folder)))
    try:
        return json.loads(finished.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{finished} is broken ({error}): remove it to measure again."
        raise ComparisonError(message) from None


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears only when it is whole: an interruption leaves none."""
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def take_warmup(config: Config, warm: Path, folder: Path) -> None:
    """Let a training that has not begun resume from the end of another's warm-up, if any."""
    iters = {hook["iters"] for hook in hooks(config) if type_name(hook) == WARMUP}
    checkpoint = warm / f"iter_{max(iters, default=0)}.pth"
    pointer = folder / "last_checkpoint"  # where --resume begins
    if is_whole(checkpoint) and not pointer.exists():
        copied = shutil.copy(checkpoint, folder)
        write_whole(pointer, str(Path(copied).absolute()))


def train(config_file: Path, folder: Path) -> None:
    """Train to the end in a process of its own, from the last checkpoint where there is one.

    Raises:
        ComparisonError: The training failed; the message has the end of its log.
    """
    tool = tools_folder() / "train.py"
    command = [sys.executable, str(tool), str(config_file), "--work-dir", str(folder)]
    if (folder / "last_checkpoint").exists():
        # With load_from, MMEngine would begin there again.
        command += ["--resume", "--cfg-options", "load_from=None"]
    log = folder / "train.log"
    with log.open("ab") as output:
        status = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
    if status:
        raise ComparisonError(f"The training in {folder} failed; {log} ends with\n{tail(log)}")


def tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
