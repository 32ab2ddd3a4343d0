"""Registers this package with MMSegmentation in whichever order the two are imported.

The layers need torch alone, and to import MMSegmentation takes seconds, so ``import mmseg_rloss``
must not do it. But configs and scripts name nothing else, and MMSegmentation has no list of
plug-ins. So a finder waits in ``sys.meta_path`` until MMSegmentation is imported, has the package
registered just after, before any of MMSegmentation's models is imported, and is gone. Another waits
for MMEngine's loader of checkpoints, which may be used before MMSegmentation is imported.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def register_with_mmseg() -> None:
    """Register now if MMSegmentation is imported, or else as soon as it is."""
    if sys.modules.get("mmseg") is not None:  # None stands for a module that must not be imported
        _register()
    else:
        sys.meta_path.insert(0, _Finder("mmseg", _register))
        sys.meta_path.insert(0, _Finder("mmengine.runner.checkpoint", _mend_checkpoints))


def _register() -> None:
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    try:
        import_module(".mmseg", __package__)
    except Exception as error:  # broken installations fail in types of their own
        warnings.warn(
            f"mmseg_rloss cannot be used with the installed MMSegmentation: {error!r}. Its layers "
            "in plain PyTorch can. `import mmseg_rloss.mmseg` shows where it fails.",
            stacklevel=2,
        )


def _mend_checkpoints() -> None:
    import_module(".compat", __package__).apply_to_checkpoints()


class _Finder(MetaPathFinder):
    """Finds a module as the finders after it do, but with a loader that calls ``action`` after."""

    def __init__(self, name: str, action: Callable[[], None]) -> None:
        self._name = name
        self._action = action

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._name:
            return None
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            if spec := finder.find_spec(name, path, target):
                if spec.loader is not None:
                    spec.loader = _Loader(spec.loader, self._done)
                return spec
        return None

    def _done(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        self._action()


class _Loader(Loader):
    def __init__(self, loader: Loader, done: Callable[[], None]) -> None:
        self._loader = loader
        self._done = done

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._done()  # not if that failed: the import may be tried again
