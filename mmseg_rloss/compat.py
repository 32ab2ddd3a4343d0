"""What the official OpenMMLab stack needs to run beside a current PyTorch.

The maintained fork (``onedl-mmsegmentation`` >= 1.3) behaves well by itself and is left alone.
The official one (``mmsegmentation`` < 1.3) stumbles over what has changed around it since its last
release. Each function below fixes one such point and says why; none of them touches a file or
another library's code, and all may be called again at no cost.
"""

import contextlib
import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

_FIRST_RELEASE_OF_THE_FORK = "1.3"
_FORCE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"  # PyTorch reads it at each load


def apply() -> None:
    """Fix what needs it; call this before any of MMSeg's models and losses is imported."""
    import mmseg  # not above: importing it calls this function (see registration.py)

    if digit_version(mmseg.__version__) >= digit_version(_FIRST_RELEASE_OF_THE_FORK):
        return
    stand_in_for_compiled_ops()
    allow_resuming_checkpoints()


def apply_to_checkpoints() -> None:
    """Fix the reading of checkpoints; neither imports MMSeg nor needs it imported."""
    try:
        version = metadata.version("mmsegmentation")  # the fork goes by another name
    except metadata.PackageNotFoundError:
        return
    if digit_version(version) < digit_version(_FIRST_RELEASE_OF_THE_FORK):
        allow_resuming_checkpoints()


def stand_in_for_compiled_ops() -> None:
    """Let MMSeg be imported where MMCV comes without compiled operators (``mmcv-lite``).

    Why: four files of MMSeg import ``mmcv.ops`` whether or not their network is asked for, and
    ``mmcv.ops`` loads the extension ``mmcv._ext``, which ``mmcv-lite`` does not have. No wheel of
    the full MMCV exists for a current PyTorch, and compiling it takes many minutes, yet hardly any
    network uses one of its operators. A compiled MMCV is found first and left as it is.
    """
    if importlib.util.find_spec("mmcv._ext") is None:
        sys.modules["mmcv._ext"] = _MissingOps()


class _MissingOps(ModuleType):
    """Has an operator of any name, which says what is missing, but only when it is called."""

    def __init__(self) -> None:
        super().__init__("mmcv._ext", "Stands in for the compiled operators of MMCV.")
        # By a spec without a loader, MMEngine's `mmcv_full_available()` knows it is not installed.
        self.__spec__ = ModuleSpec("mmcv._ext", loader=None)
        # `mmcv.utils.collect_env()` calls these two wherever `mmcv.ops` can be imported.
        self.get_compiler_version = lambda: "n/a"
        self.get_compiling_cuda_version = lambda: "n/a"

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

        def missing_op(*args: Any, **kwargs: Any) -> None:
            raise NotImplementedError(
                f"This network calls {name!r}, a compiled operator of MMCV, and the installed MMCV "
                "has none (mmcv-lite). Replace mmcv-lite by mmcv of the same version, compiled "
                "for your PyTorch: pip uninstall mmcv-lite, then "
                'pip install --no-build-isolation "mmcv>=2.1,<2.2".'
            )

        return missing_op


def allow_resuming_checkpoints() -> None:
    """Let MMEngine read its own checkpoints under PyTorch >= 2.6, and run no code from any.

    Why: since 2.6 ``torch.load`` unpickles tensors and plain containers only, and MMEngine stores
    the history of its logs (``HistoryBuffer``, NumPy arrays) in each checkpoint, so neither
    ``--resume`` nor a test can load what training has saved. The few types of that history are
    allowed while MMEngine loads a checkpoint. What is named by a URL, which PyTorch's model zoo
    would unpickle as a whole, code included, follows the same rule.
    """
    if digit_version(torch.__version__) < digit_version("2.6"):
        return
    from mmengine.runner.checkpoint import CheckpointLoader  # not above, for the same reason

    for prefix, loader in list(CheckpointLoader._schemes.items()):
        CheckpointLoader.register_scheme(prefixes=prefix, loader=_safe(loader), force=True)


def _safe(loader: Callable) -> Callable:
    """A loader of MMEngine's that opens tensors, plain containers and log histories alone."""
    if hasattr(loader, "__wrapped__"):
        return loader

    @functools.wraps(loader)  # MMEngine's log shows its name.
    def load(*args: Any, **kwargs: Any) -> Any:
        with _tensors_alone(), torch.serialization.safe_globals(_types_of_log_history()):
            return loader(*args, **kwargs)

    return load


@contextlib.contextmanager
def _tensors_alone() -> Iterator[None]:
    """Let no ``torch.load`` unpickle more than that, whatever its arguments say."""
    before = os.environ.get(_FORCE)
    os.environ[_FORCE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FORCE]
        else:
            os.environ[_FORCE] = before


def _types_of_log_history() -> list:
    def history_buffer_method(owner: type, name: str) -> Callable:
        """Stand in for ``getattr``, by which pickle stores the methods of a class."""
        if owner is not HistoryBuffer or name.startswith("_"):
            raise ValueError(f"a checkpoint may not ask for {name!r} of {owner!r}")
        return getattr(owner, name)

    array = np.zeros(0)
    reconstruct_array: Any = array.__reduce__()[0]
    make_scalar: Any = np.float64(0).__reduce__()[0]
    return [
        HistoryBuffer,
        (history_buffer_method, "builtins.getattr"),
        np.ndarray,
        np.dtype,
        *(type(np.dtype(kind)) for kind in ("bool", "int32", "int64", "float32", "float64")),
        # NumPy 2 moved `numpy.core` to `numpy._core`; checkpoints of either may come.
        *(
            (function, f"{package}.multiarray.{function.__name__}")
            for function in (reconstruct_array, make_scalar)
            for package in ("numpy.core", "numpy._core")
        ),
    ]
