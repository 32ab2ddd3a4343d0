"""Registers all of this package with MMSegmentation when it is imported.

``import mmseg_rloss`` imports it where MMSegmentation is, so no config has to name it. To name it
is the way to hear why MMSegmentation cannot be imported: as an error, not as a warning.
"""

from . import compat

compat.apply()

from . import datasets, engine, models  # noqa: E402, F401
