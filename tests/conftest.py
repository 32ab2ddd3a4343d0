"""Imported before any test: MMSegmentation can be, under the official stack, only after this."""

import os

import torch

if not torch.cuda.is_available():
    # Triton reads this when it is imported. Its interpreter runs the kernels on the CPU.
    os.environ.setdefault("TRITON_INTERPRET", "1")

import mmseg_rloss  # noqa: F401
