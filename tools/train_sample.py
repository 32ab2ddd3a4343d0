"""Draw the sample data set, train on it, evaluate, and say what came of it (`make train`).

Each step is skipped where its result is there already; a training that was interrupted goes on
from its last checkpoint. Remove the work folder to train anew.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "configs/deeplabv3plus_mobilenet_scribble_sample.py"
REAL_CONFIG = "configs/deeplabv3plus_mobilenet_scribble.py"
WORK_DIR = Path("work_dirs/deeplabv3plus_mobilenet_scribble_sample")
PICTURE_EVERY = 5  # validation scenes


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    os.chdir(ROOT)
    run_tool("make_sample_dataset.py")
    checkpoint = train()
    report(checkpoint, evaluate(checkpoint, WORK_DIR / "evaluation"))


def train() -> Path:
    """Train to the end of the schedule, and return the last checkpoint."""
    config = Config.fromfile(CONFIG, import_custom_modules=False)
    checkpoint = WORK_DIR / f"iter_{config.train_cfg.max_iters}.pth"
    if checkpoint.exists():
        print(f"{WORK_DIR} holds a finished training. Remove it to train anew.")
    else:
        run_tool("train.py", CONFIG, "--work-dir", WORK_DIR, "--resume")
    return checkpoint


def evaluate(checkpoint: Path, folder: Path) -> Path:
    """Evaluate and draw predictions into the folder; return the file of the scores."""
    done = [scores for scores in folder.glob("*/*.json") if is_newer(scores, checkpoint)]
    if done:
        return done[0]
    shutil.rmtree(folder, ignore_errors=True)
    run_tool(
        "test.py",
        CONFIG,
        checkpoint,
        *("--work-dir", folder),
        *("--show-dir", folder / "pictures"),
        *("--cfg-options", f"default_hooks.visualization.interval={PICTURE_EVERY}"),
    )
    return next(folder.glob("*/*.json"))


def is_newer(path: Path, other: Path) -> bool:
    return path.stat().st_mtime > other.stat().st_mtime


def report(checkpoint: Path, scores: Path) -> None:
    pictures = scores.parents[1] / "pictures" / "vis_data" / "vis_image"
    print(
        f"""
mIoU on the sample's validation scenes: {json.loads(scores.read_text())["mIoU"]:.1f} %
  checkpoint          {checkpoint}
  pictures            {pictures} (left: the mask, right: the prediction)
  data and config     data/sample, {CONFIG}

On with the real PASCAL VOC: fill data/pascal_scribble, or name the folder in the environment
variable PASCAL_SCRIBBLE_ROOT (the next command says what it lacks), and then
  source .venv/bin/activate
  python tools/train.py {REAL_CONFIG}"""
    )


def run_tool(name: str, *arguments: str | Path) -> None:
    command = [sys.executable, f"tools/{name}", *map(str, arguments)]
    print("+ python", *command[1:], flush=True)
    status = subprocess.run(command).returncode
    if status != 0:
        sys.exit(status)


if __name__ == "__main__":
    main()
