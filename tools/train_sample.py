"""Draw the sample data set, train on it, evaluate, and say what came of it (`make train`).

Each step is skipped where its result is there already; a training that was interrupted goes on
from its last checkpoint. Remove the work folder to train anew.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from mmengine.config import Config

TOOLS = Path(__file__).parent
REAL_CONFIG = "configs/deeplabv3plus_mobilenet_scribble.py"
PICTURE_EVERY = 5  # validation scenes


def main() -> None:
    args = parse_args()
    work_dir = Path("work_dirs") / args.config.stem
    run_tool("make_sample_dataset.py")
    checkpoint = train(args.config, work_dir)
    results = evaluate(args.config, checkpoint, work_dir / "evaluation")
    report(args.config, checkpoint, results)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", type=Path, help="config that reads the sample data set")
    return parser.parse_args()


def train(config: Path, work_dir: Path) -> Path:
    """Train to the end of the schedule, and return the last checkpoint."""
    checkpoint = work_dir / f"iter_{Config.fromfile(config).train_cfg.max_iters}.pth"
    if checkpoint.exists():
        print(f"{work_dir} holds a finished training: nothing to do. Remove it to train anew.")
    else:
        run_tool("train.py", config, "--work-dir", work_dir, "--resume")
    return checkpoint


def evaluate(config: Path, checkpoint: Path, folder: Path) -> Path:
    """Evaluate and draw predictions into the folder; return the file of the scores."""
    done = [scores for scores in folder.glob("*/*.json") if is_newer(scores, checkpoint)]
    if done:
        return done[0]
    shutil.rmtree(folder, ignore_errors=True)
    run_tool(
        "test.py",
        config,
        checkpoint,
        *("--work-dir", folder),
        *("--show-dir", folder / "pictures"),
        *("--cfg-options", f"default_hooks.visualization.interval={PICTURE_EVERY}"),
    )
    return next(folder.glob("*/*.json"))


def is_newer(path: Path, other: Path) -> bool:
    return path.stat().st_mtime > other.stat().st_mtime


def report(config: Path, checkpoint: Path, scores: Path) -> None:
    pictures = scores.parents[1] / "pictures" / "vis_data" / "vis_image"
    print(
        f"""
mIoU on the sample's validation scenes: {json.loads(scores.read_text())["mIoU"]:.1f} %
  checkpoint          {checkpoint}
  pictures            {pictures} (left: the mask, right: the prediction)
  data and config     data/sample, {config}

On with the real PASCAL VOC: fill data/pascal_scribble, or name the folder in the environment
variable PASCAL_SCRIBBLE_ROOT (the next command says what it lacks), and then
  source .venv/bin/activate
  python tools/train.py {REAL_CONFIG}"""
    )


def run_tool(name: str, *arguments: str | Path) -> None:
    command = [sys.executable, str(TOOLS / name), *map(str, arguments)]
    print("+ python", *command[1:], flush=True)
    status = subprocess.run(command).returncode
    if status != 0:
        sys.exit(status)


if __name__ == "__main__":
    main()
