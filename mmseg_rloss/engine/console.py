"""What a training shows on the screen: its progress. The log file has that and all the rest."""

from __future__ import annotations

import logging
import warnings
from typing import TextIO

# Messages of MMEngine that are pages long, or that nobody can act on.
FOR_THE_FILE = (
    f"\n{'-' * 60}\nSystem environment:",
    "Config:\n",
    "Hooks will be executed in the following order:\n",
    "The prefix is not set in metric class IoUMetric.",
    "paramwise_options -- ",
    '"FileClient" will be deprecated in future. Please use io functions in ',
    '"HardDiskBackend" is the alias of "LocalBackend" and the former will be deprecated in future.',
)

# Warnings of MMSegmentation about its own code: the file that warns, and how the warning begins.
ABOUT_MMSEG = (
    ("mmseg/models/builder.py", "``build_loss`` would be deprecated soon"),
    (
        "mmseg/engine/hooks/visualization_hook.py",
        "The draw is False, it means that the hook for visualization will not take effect.",
    ),
    # For the stock SegFormer's weights, which docs/own_data.md uses.
    ("mmseg/models/backbones/mit.py", "DeprecationWarning: pretrained is deprecated"),
)


class Console:
    """Takes over the warnings of the process, and the log once there is one."""

    def __init__(self) -> None:
        self._file: logging.Handler | None = None
        self._early: list[logging.LogRecord] = []
        self._show_warning = warnings.showwarning
        warnings.showwarning = self._on_warning

    def take(self, logger: logging.Logger) -> None:
        """Show only what a user needs of a log. Its file, if any, gets everything, warnings too."""
        for handler in logger.handlers:
            if isinstance(handler, logging.FileHandler):
                self._file = handler
                for record in self._early:
                    handler.handle(record)
                logger.info(f"The whole log is in {handler.baseFilename}")
            else:
                handler.addFilter(is_for_the_screen)
        self._early.clear()

    def _on_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not is_about_mmseg(str(message), filename):
            self._show_warning(message, category, filename, lineno, file, line)
            return
        text = f"{category.__name__}: {message}"
        record = logging.LogRecord(
            "warnings", logging.WARNING, filename, lineno, text, args=None, exc_info=None
        )
        if self._file:
            self._file.handle(record)
        else:
            self._early.append(record)


def is_for_the_screen(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(FOR_THE_FILE)


def is_about_mmseg(message: str, filename: str) -> bool:
    return any(filename.endswith(file) and message.startswith(text) for file, text in ABOUT_MMSEG)
