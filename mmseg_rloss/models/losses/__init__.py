"""Losses for ``loss_decode``, registered with MMSegmentation."""

from .dense_energy_loss import DenseEnergyLoss
from .densecrf_loss import DenseCRFLoss
from .kernel_cut_loss import KernelCutLoss
from .named_losses import named_losses
from .neighbour_potts_loss import NeighbourPottsLoss
from .normalized_cut_loss import NormalizedCutLoss
from .regularized_loss import RegularizedLoss, losses_by_name
from .self_label_loss import SelfLabelLoss

__all__ = [
    "DenseCRFLoss",
    "DenseEnergyLoss",
    "KernelCutLoss",
    "NeighbourPottsLoss",
    "NormalizedCutLoss",
    "RegularizedLoss",
    "SelfLabelLoss",
    "losses_by_name",
    "named_losses",
]
