"""Run one of the command-line tools that MMSegmentation installs, with this package at hand.

`train.py` and `test.py` are MMSegmentation's own, with all their options. Added here is only what
these tools lack: a plain message for the mistakes that a newcomer makes, and several processes on
a machine without a GPU.
"""

import os
import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout need not be installed

USAGE_ERROR = 2


def run(name: str) -> None:
    """Run MMSegmentation's tool of that file name on the arguments of the command line."""
    tool = find_tool(name)
    from mmengine.device import get_device

    from mmseg_rloss.datasets import DatasetNotFoundError

    on_cpu = get_device() == "cpu"
    if on_cpu and "--amp" in sys.argv:
        stop("--amp needs a GPU: mixed precision is not available on the CPU. Leave out --amp.")
    if on_cpu and launched_by_torchrun():
        distribute_on_cpu()
    try:
        runpy.run_path(str(tool), run_name="__main__")
    except DatasetNotFoundError as error:
        stop(str(error))
    except ModuleNotFoundError as error:
        if error.name != "pkg_resources":
            raise
        stop(
            "A config of the form 'mmseg::...' needs pkg_resources, which setuptools 81 dropped: "
            'pip install "setuptools<81".'
        )
    finally:
        leave_process_group()


def find_tool(name: str) -> Path:
    try:
        import mmseg
    except ModuleNotFoundError as error:
        if error.name not in ("mmseg", "mmcv", "mmengine", "torch"):
            raise
        stop(
            f"{error.name} is not installed for {sys.executable}. `make setup` installs all that "
            "is needed into .venv; activate it by `source .venv/bin/activate`."
        )
    tool = Path(mmseg.__file__).parent / ".mim" / "tools" / name
    if not tool.is_file():
        stop(
            f"MMSegmentation {mmseg.__version__} came without {tool}. Install it by pip: "
            "a bare source checkout lacks its tools and configs."
        )
    return tool


def launched_by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def distribute_on_cpu() -> None:
    """Join the other processes by gloo, which MMEngine's own launcher does only beside GPUs.

    MMEngine selects a GPU while it sets up the process group, unless the group is there already,
    and names one to DistributedDataParallel, unless the wrapper's config says otherwise.
    """
    import torch.distributed

    torch.distributed.init_process_group("gloo")
    sys.argv += [
        "--cfg-options",
        "model_wrapper_cfg.type=MMDistributedDataParallel",
        "model_wrapper_cfg.device_ids=None",
        "model_wrapper_cfg.broadcast_buffers=False",
    ]


def leave_process_group() -> None:
    """An interpreter that ends with the group's threads still at work aborts now and then."""
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def stop(message: str) -> None:
    """End with a message instead of a traceback, once for all processes of a machine."""
    if os.environ.get("LOCAL_RANK", "0") == "0":
        print(message, file=sys.stderr)
    sys.exit(USAGE_ERROR)
