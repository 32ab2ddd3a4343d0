"""Every energy of the package, found by its name, so that the tests of all take in a new one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from mmseg_rloss.ops import functional, layers
from mmseg_rloss.ops.energy_layer import EnergyLayer


class Energy(NamedTuple):
    """``NameLoss``, a layer here and a loss of MMSegmentation, and ``name_loss``, its function."""

    name: str  # as in the log, without loss_
    layer: type[EnergyLayer]
    function: Callable[..., Tensor]

    @property
    def options(self) -> dict[str, str]:
        """The parameters that other energies do not have, with their types."""
        parameters = inspect.signature(self.layer).parameters.values()
        own = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "value_range"]
        return {parameter.name: parameter.annotation for parameter in own}

    def parameters(self, **given: float) -> dict[str, Any]:
        """Those of the common parameters that this energy has: not all have a sigma_xy."""
        common = inspect.signature(self.layer).parameters
        return {name: value for name, value in given.items() if name in common}


def snake_case(name: str) -> str:
    """``DenseCRFLoss`` to ``densecrf_loss``."""
    return re.sub(r"(?<!^)(?=[A-Z][a-z])", "_", name).lower()


def _energy(name: str) -> Energy:
    function = snake_case(name)
    of_maps = getattr(functional, function)
    return Energy(function.removesuffix("_loss"), getattr(layers, name), of_maps)


ENERGIES = {name: _energy(name) for name in layers.__all__}
