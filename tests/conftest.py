"""Imported before any test: MMSegmentation can be, under the official stack, only after this."""

import mmseg_rloss  # noqa: F401
