"""A segmentation at the scale of an energy, from probabilities or straight from logits."""

from __future__ import annotations

from torch import Tensor

from .lattice import Associations, Lattice
from .probabilities import scaled_probabilities

UNLABELLED = 255  # the label of pixels without one


class Segmentation:
    """Class probabilities within a region of interest.

    Args:
        probabilities: (N, K, h, w), times the region.
        region: (N, h, w), 1 on pixels that count and 0 elsewhere, in the same type.
    """

    def __init__(self, probabilities: Tensor, region: Tensor) -> None:
        self._probabilities = probabilities
        self.region = region

    def __len__(self) -> int:
        """The size of the batch by which an energy is divided."""
        return max(1, len(self.region))

    def probabilities(self) -> Tensor:
        """(N, K, h, w), times the region."""
        return self._probabilities

    def associate(self, affinities: Lattice) -> Associations:
        """The associations of the classes under the affinities of a lattice."""
        return affinities.associate(self._probabilities, self.region)


class LogitSegmentation(Segmentation):
    """The same of logits (N, K, H, W), without a map of probabilities at their size.

    Args:
        logits: As in :func:`~mmseg_rloss.ops.scaled_probabilities`.
        region: As there.
        scale_factor: As there.
    """

    def __init__(self, logits: Tensor, region: Tensor, scale_factor: float) -> None:
        self._maps = logits, region, scale_factor
        self.region = region

    def probabilities(self) -> Tensor:
        return scaled_probabilities(*self._maps)

    def associate(self, affinities: Lattice) -> Associations:
        return affinities.associate_logits(*self._maps)
