"""Draw the sample data set, train on it, evaluate, and report the results (`make train`).

Each step whose result exists is skipped; an interrupted training resumes from its last checkpoint.
Remove the work folder to start over.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from mmseg_rloss.checkpoint import is_whole
from mmseg_rloss.visualization import draw_examples

ROOT = Path(__file__).resolve().parents[1]
DATA = Path("data/sample")
CONFIG = "configs/deeplabv3plus_mobilenet_scribble_sample.py"
REAL_CONFIG = "configs/deeplabv3plus_mobilenet_scribble.py"
WORK_DIR = Path("work_dirs/deeplabv3plus_mobilenet_scribble_sample")

EXAMPLES = 8  # validation scenes to draw
INTERRUPTED = 130  # as a shell reports Ctrl-C
SECONDS_TO_END = 10  # for a tool that Ctrl-C reaches, too


def main(argv: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(argv)
    os.chdir(ROOT)
    try:
        run_tool("make_sample_dataset.py", "--out", DATA)
        config = Config.fromfile(CONFIG)
        checkpoint = train(config)
        scores = evaluate(checkpoint, WORK_DIR / "evaluation")
        pictures = draw(WORK_DIR / "evaluation", config)
    except KeyboardInterrupt:
        print("Interrupted; `make train` goes on from here.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    report(checkpoint, scores, pictures)


def train(config: Config) -> Path:
    """Train to the end of the schedule, and return the last checkpoint."""
    checkpoint = WORK_DIR / f"iter_{config.train_cfg.max_iters}.pth"
    if is_whole(checkpoint):
        print(f"{WORK_DIR} holds a finished training. Remove it to train anew.")
    else:
        run_tool("train.py", CONFIG, "--work-dir", WORK_DIR, "--resume")
    return checkpoint


def evaluate(checkpoint: Path, folder: Path) -> Path:
    """Write scores and predictions into the folder, and return the file of the scores."""
    done = [
        scores
        for scores in folder.glob("*/*.json")
        if is_newer(scores, checkpoint) and is_json(scores)
    ]
    if done:
        return done[0]
    shutil.rmtree(folder, ignore_errors=True)
    outputs = ("--work-dir", folder, "--out", folder / "predictions")
    run_tool("test.py", CONFIG, checkpoint, *outputs)
    return next(folder.glob("*/*.json"))


def is_json(path: Path) -> bool:
    """Whether a file was written to the end."""
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return True


def is_newer(path: Path, other: Path) -> bool:
    return path.stat().st_mtime > other.stat().st_mtime


def draw(evaluation: Path, config: Config) -> Path:
    """Draw some scenes with their scribbles, predictions and masks; return the file."""
    pictures = evaluation / "predictions.png"
    columns = {"prediction": evaluation / "predictions"}
    draw_examples(config, columns, EXAMPLES).savefig(pictures, dpi=150)
    return pictures


def report(checkpoint: Path, scores: Path, pictures: Path) -> None:
    miou = json.loads(scores.read_text(encoding="utf-8"))["mIoU"]
    print(
        f"""
mIoU on the sample's validation scenes: {miou:.1f} %
  checkpoint  {checkpoint}
  pictures    {pictures}
  logs        {WORK_DIR}/*/*.log

On with the real PASCAL VOC: fill data/pascal_scribble, or name the folder in the environment
variable PASCAL_SCRIBBLE_ROOT (the last command says what it lacks), and then
  source .venv/bin/activate
  python tools/train.py {REAL_CONFIG}"""
    )


def run_tool(name: str, *arguments: str | Path) -> None:
    command = [sys.executable, f"tools/{name}", *map(str, arguments)]
    print("+ python", *command[1:], flush=True)
    process = subprocess.Popen(command)
    try:
        status = process.wait()
    except KeyboardInterrupt:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)
        process.terminate()
        process.wait()
        raise
    if status != 0:
        sys.exit(status)


if __name__ == "__main__":
    main()
