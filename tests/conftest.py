"""Imported before any test: MMSegmentation can be, under the official stack, only after this."""

import os
import signal

import torch

if not torch.cuda.is_available():
    # Triton reads this when it is imported. Its interpreter runs the kernels on the CPU.
    os.environ.setdefault("TRITON_INTERPRET", "1")

import mmseg_rloss  # noqa: F401

# A shell lets what it runs in the background ignore Ctrl-C, of which some tests ask the effect.
signal.signal(signal.SIGINT, signal.default_int_handler)
