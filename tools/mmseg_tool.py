"""Run one of the command-line tools that MMSegmentation installs, with this package loaded.

`train.py` and `test.py` are MMSegmentation's own, with all their options. Added here is only what
they lack: plain messages for a newcomer's mistakes, before the log begins, a screen that shows only
the progress, several processes on a machine without a GPU, and a --resume that does resume.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from urllib.error import URLError

if TYPE_CHECKING:
    from mmengine.config import Config, ConfigDict
    from mmengine.logging import MMLogger
    from mmengine.runner import Runner


DATALOADERS = {
    "train.py": ("train_dataloader", "val_dataloader"),
    "test.py": ("test_dataloader",),
}
USAGE_ERROR = 2
INTERRUPTED = 130  # as a shell reports Ctrl-C


def run(name: str, argv: Sequence[str] | None = None) -> None:
    """Run MMSegmentation's tool of that file name on the arguments, or those of the command line.

    The tool reads them from there itself.
    """
    if argv is not None:
        sys.argv[1:] = argv
    wait_asleep()
    tool = load_tool(name)
    from mmengine.device import get_device

    from mmseg_rloss.datasets import DatasetFilesError, DatasetNotFoundError

    args = tool.parse_args()
    if args.launcher == "slurm":
        take_ranks_from_slurm()
    if get_device() == "cpu":
        if getattr(args, "amp", False):
            stop("--amp needs a GPU: mixed precision is not available on the CPU. Leave out --amp.")
        if args.launcher in ("pytorch", "slurm"):
            distribute_on_cpu()
    config = load_config(args)
    try:
        look_at_work_dir(work_dir_of(args, config))
        look_for_data(config, DATALOADERS[name])
        if getattr(args, "resume", False):
            look_for_checkpoint(work_dir_of(args, config))
            if "load_from" not in (args.cfg_options or {}):
                tool.Runner = resuming(tool.Runner)
        tool.Runner = plain(tool.Runner)
        if name == "test.py":
            look_at_checkpoint(config, args.checkpoint)
            if args.out:
                with contextlib.suppress(ValueError):  # The tool itself says what is wrong.
                    look_for_shared_names(config)
        tool.main()
        if name == "test.py" and args.out and os.environ.get("RANK", "0") == "0":
            with contextlib.suppress(ValueError):  # no data set of images and label maps
                colour_predictions(config, Path(args.out))
        leave_process_group()
    except (DatasetNotFoundError, DatasetFilesError) as error:
        stop(str(error))
    except URLError as error:
        stop(no_weights(config, error))
    except (KeyboardInterrupt, SyntaxError) as error:
        if not is_ctrl_c(error):
            raise
        resumable = name == "train.py"
        stop(where_to_go_on(work_dir_of(args, config)) if resumable else "Interrupted", INTERRUPTED)
    except RuntimeError as error:
        if not is_lost_connection(error):
            raise
        stop(
            f"Another process of this training has ended; its own output says why. ({error})\n"
            "Start all of them again with --resume to go on from the last checkpoint."
        )


def wait_asleep() -> None:
    """Let PyTorch's threads sleep while they wait, unless the environment says otherwise.

    By default they spin, and on a shared machine keep each other off the processors. OpenMP reads
    this when it is loaded with PyTorch.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def load_tool(name: str) -> ModuleType:
    try:
        import mmseg

        import mmseg_rloss  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name not in ("mmseg", "mmcv", "mmengine", "torch", "mmseg_rloss"):
            raise
        stop(
            f"{error.name} is not installed for {sys.executable}. `make setup` installs all that "
            "is needed into .venv; activate it by `source .venv/bin/activate`."
        )
    path = Path(mmseg.__file__).parent / ".mim" / "tools" / name
    if not path.is_file():
        stop(
            f"MMSegmentation {mmseg.__version__} came without {path}. Install it by pip: "
            "a bare source checkout lacks its tools and configs."
        )
    spec = importlib.util.spec_from_file_location(f"mmseg_{path.stem}", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


def load_config(args: argparse.Namespace) -> Config:
    from mmseg_rloss.command_line import read_config

    try:
        return read_config(args.config, args.cfg_options)
    except SystemExit as error:
        stop(str(error))


def look_for_data(config: Config, dataloaders: tuple[str, ...]) -> None:
    """Raise for missing data, as the data set does, before a log begins and a model is built."""
    from mmseg_rloss.datasets import DatasetFilesError, ScribbleDataset
    from mmseg_rloss.datasets.config_data import build_unread, inner_dataset
    from mmseg_rloss.datasets.id_list import read_id_list

    for dataloader in dataloaders:
        split = dataloader.partition("_")[0]
        try:
            given = inner_dataset(config, split)
        except ValueError:
            continue  # MMEngine says what it lacks.
        ids = None
        if is_one(given, ScribbleDataset):
            ids = Path(build_unread(given).ann_file or "")
        elif given.type == "BaseSegDataset" and given.get("ann_file"):
            ids = Path(given.get("data_root") or "", given["ann_file"])
        # On an empty one, MMEngine fails with a message of its own or waits for an image forever.
        if ids and ids.is_file() and not read_id_list(ids):
            raise DatasetFilesError(
                f"{ids} names no image. Write the ids into it, one a line, or name another ann_file"
            )


def no_weights(config: Config, error: URLError) -> str:
    """The message for weights that cannot be downloaded, with the options to continue."""
    model = config.get("model") or {}
    init_cfg = (model.get("backbone") or {}).get("init_cfg") or {}
    named = [
        (model.get("pretrained"), "model.pretrained", "model.pretrained"),
        (
            init_cfg.get("checkpoint"),
            "model.backbone.init_cfg.checkpoint",
            "model.backbone.init_cfg",
        ),
        (config.get("load_from"), "load_from", "load_from"),
    ]
    for address, key, without in named:
        if "://" in (address or ""):
            return (
                f"The pretrained weights {address} cannot be downloaded ({error.reason}). Name a "
                f"copy by --cfg-options {key}=FILE, or begin without by --cfg-options "
                f"{without}=None."
            )
    return f"Something that the config names cannot be downloaded ({error.reason})."


def is_one(dataset: ConfigDict, kind: type) -> bool:
    """Whether the data set of a config is of a kind; False for one that is not registered."""
    from mmseg_rloss.datasets.config_data import type_of

    try:
        return issubclass(type_of(dataset), kind)
    except ValueError:
        return False


def look_for_shared_names(config: Config) -> None:
    """Stop where MMSeg would write the predictions of two images into one file."""
    from mmseg_rloss.datasets.config_data import data_of

    counts = Counter(path.stem for path in data_of(config, "test").images.values())
    name, count = max(counts.items(), key=lambda item: item[1], default=("", 0))
    if count > 1:
        stop(
            f"--out: {count} images to test on are named {name}, and would share a prediction. "
            "tools/predict.py keeps their folders apart; leave out --out."
        )


def colour_predictions(config: Config, folder: Path) -> None:
    """Give the label maps that the test wrote a palette: MMSeg's are grey, that is, black."""
    import numpy as np
    from PIL import Image

    from mmseg_rloss.datasets.config_data import build_unread, classes_and_palette, inner_dataset
    from mmseg_rloss.datasets.label_png import write_label_png

    dataset = build_unread(inner_dataset(config, "test"))
    _, palette = classes_and_palette(dataset)
    if dataset.reduce_zero_label:  # MMSeg counts its predictions from 1, too.
        palette = np.insert(palette, 0, 0, axis=0)
    for path in folder.glob("*.png"):
        with Image.open(path) as image:
            mode, labels = image.mode, np.asarray(image)
        if mode == "L":
            write_label_png(labels, path, palette)


def work_dir_of(args: argparse.Namespace, config: Config) -> Path:
    """The folder of a training, as MMSegmentation's tool chooses it."""
    return Path(args.work_dir or config.get("work_dir") or f"work_dirs/{Path(args.config).stem}")


def look_at_work_dir(work_dir: Path) -> None:
    """Stop if the training could not write."""
    from mmseg_rloss.command_line import output_folder

    try:
        output_folder(str(work_dir))
    except argparse.ArgumentTypeError as error:
        stop(f"work_dir: {error}.")


def look_for_checkpoint(work_dir: Path) -> None:
    """Stop where --resume would not find the checkpoint that it begins with."""
    if fault := fault_of_pointer(work_dir):
        stop(fault)


def fault_of_pointer(work_dir: Path) -> str:
    """What is wrong with the file that names the last checkpoint, with the remedy, or nothing.

    MMEngine empties it before it writes it. Where one checkpoint is kept (max_keep_ckpts=1), it
    removes the one that the file names before it writes the next.
    """
    pointer = work_dir / "last_checkpoint"
    if not pointer.exists():
        return ""
    from mmseg_rloss.checkpoint import is_whole

    named = pointer.read_text(encoding="utf-8", errors="replace").strip()
    if "://" in named or is_whole(named):
        return ""
    # Those of the best score hold no state of the optimizer.
    found = [path for path in work_dir.glob("*.pth") if not path.name.startswith("best_")]
    remedy = "delete it to begin anew"
    if found:
        newest = max(found, key=lambda path: (is_whole(path), path.stat().st_mtime))
        remedy = f"name in it the checkpoint to go on from, such as {newest}"
    state = f"names {named}, which is not there or broke off" if named else "is empty"
    ended = "a training ended as it wrote a checkpoint"
    return f"{pointer}, where --resume begins, {state}: {ended}; {remedy}."


def resuming(runner: type[Runner]) -> type[Runner]:
    """A Runner that resumes from its work folder, whatever weights the training began with.

    MMEngine resumes from the config's ``load_from`` instead where there is one, and loads the
    pretrained weights of the model only to write over them.
    """
    from mmengine.dist import all_gather_object

    class ResumingRunner(runner):
        def _init_model_weights(self) -> None:
            if not self.last_checkpoint:
                super()._init_model_weights()

        def load_or_resume(self) -> None:
            if self.last_checkpoint:
                self._load_from = None
            else:
                self.logger.info(f"There is no checkpoint in {self.work_dir} to resume from.")
                self._resume = False
            super().load_or_resume()

        @functools.cached_property
        def last_checkpoint(self) -> str:
            pointer = Path(self.work_dir, "last_checkpoint")
            named = pointer.read_text() if pointer.exists() else ""
            if len(set(all_gather_object(named))) > 1:
                stop(
                    f"--resume: not all machines find the same checkpoint in {self.work_dir}. "
                    "Give them a work_dir on a disk that they share, or copy it to each."
                )
            return named

    return ResumingRunner


def plain(runner: type[Runner]) -> type[Runner]:
    """A Runner that shows only its progress, and leaves the rest to its log file."""
    from mmseg_rloss.engine.console import Console

    console = Console()

    class PlainRunner(runner):
        def build_logger(self, *args, **kwargs) -> MMLogger:
            logger = super().build_logger(*args, **kwargs)
            console.take(logger)
            return logger

    return PlainRunner


def is_ctrl_c(error: BaseException) -> bool:
    """Whether it comes of Ctrl-C.

    MMEngine formats the config for each checkpoint, and takes whatever ends that for wrong syntax.
    """
    return isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt)


def where_to_go_on(work_dir: Path) -> str:
    """The message when Ctrl-C ends a training."""
    pointer = work_dir / "last_checkpoint"
    if not pointer.exists():
        return f"Interrupted; {work_dir} holds no checkpoint yet."
    if fault := fault_of_pointer(work_dir):
        return f"Interrupted; {fault}"
    return f"Interrupted; --resume goes on from {pointer.read_text().strip()}."


def look_at_checkpoint(config: Config, checkpoint: str) -> None:
    """Stop at a checkpoint that is broken or of another network: MMEngine would test at random."""
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    from mmseg_rloss.checkpoint import CheckpointError, check_fits, read_checkpoint

    init_default_scope(config.get("default_scope", "mmseg"))
    try:
        contents = read_checkpoint(checkpoint)
        check_fits(MODELS.build(config.model), contents, checkpoint)
    except CheckpointError as error:
        stop(str(error))


def take_ranks_from_slurm() -> None:
    """Give a task of Slurm the environment that PyTorch's launcher gives a process.

    MMEngine does so too, but not before it selects a GPU.
    """
    slurm = os.environ
    try:
        ranks = slurm["SLURM_PROCID"], slurm["SLURM_LOCALID"], slurm["SLURM_NTASKS"]
        nodes = slurm["SLURM_STEP_NODELIST"]
    except KeyError:
        stop(
            "--launcher slurm is for tasks of srun. Start them by tools/slurm_train.sh, or use "
            "tools/dist_train.sh where there is no Slurm."
        )
    os.environ.update(zip(("RANK", "LOCAL_RANK", "WORLD_SIZE"), ranks, strict=True))
    os.environ.setdefault("MASTER_PORT", "29500")
    if "MASTER_ADDR" not in os.environ:
        show = ["scontrol", "show", "hostnames", nodes]
        hosts = subprocess.run(show, check=True, capture_output=True, text=True).stdout
        os.environ["MASTER_ADDR"] = hosts.split()[0]


def distribute_on_cpu() -> None:
    """Join the other processes by gloo, which MMEngine's own launchers do only beside GPUs.

    MMEngine selects a GPU while it sets up the process group, unless the group is there already,
    and names one to DistributedDataParallel, unless the wrapper's config says otherwise.
    """
    import torch.distributed

    try:
        torch.distributed.init_process_group("gloo")
    except RuntimeError as error:
        stop(
            f"The processes do not find each other ({error}).\nOn several machines, "
            "MASTER_ADDR is the address of the first, and GLOO_SOCKET_IFNAME the interface of "
            "each that leads to the others, as `ip address` lists it."
        )
    sys.argv += [
        "--cfg-options",
        "model_wrapper_cfg.type=MMDistributedDataParallel",
        "model_wrapper_cfg.device_ids=None",
        "model_wrapper_cfg.broadcast_buffers=False",
    ]


def is_lost_connection(error: RuntimeError) -> bool:
    """Whether gloo or NCCL reports that another process is gone."""
    import torch.distributed

    if isinstance(error, torch.distributed.DistError):
        return True
    return bool(re.search(r"Connection (closed|reset) by peer|Broken pipe", str(error)))


def leave_process_group() -> None:
    """End the group's threads: one that frees a tensor while the interpreter exits aborts it.

    They end with the last reference to the group. The model wrapper's lasts until the garbage is
    collected, since the Runner is part of reference cycles. It must not be the last: a wrapper
    waits for the threads while it holds the interpreter's lock, which they may need.
    """
    import torch.distributed

    if torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.destroy_process_group()


def stop(message: str, status: int = USAGE_ERROR) -> None:
    """End with a message instead of a traceback, once for all processes of a machine."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(message, file=sys.stderr)
    sys.exit(status)
