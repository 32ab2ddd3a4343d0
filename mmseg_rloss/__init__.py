"""Train MMSegmentation networks from scribbles with the DenseCRF loss."""

from importlib.util import find_spec

from .ops import (
    DenseCRFLoss,
    DenseEnergyLoss,
    KernelCutLoss,
    NormalizedCutLoss,
    SelfLabelLoss,
    dense_energy_loss,
    densecrf_loss,
    kernel_cut_loss,
    normalized_cut_loss,
    self_label_loss,
)

__version__ = "0.1.0"

__all__ = [
    "DenseCRFLoss",
    "DenseEnergyLoss",
    "KernelCutLoss",
    "NormalizedCutLoss",
    "SelfLabelLoss",
    "dense_energy_loss",
    "densecrf_loss",
    "kernel_cut_loss",
    "normalized_cut_loss",
    "self_label_loss",
]

if find_spec("mmseg") is not None:
    from . import compat

    compat.apply()

    from . import datasets, engine, models  # noqa: F401
    from .engine import provide_images

    __all__ += ["provide_images"]
