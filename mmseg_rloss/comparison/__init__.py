"""Trainings of one config with different losses, compared: `tools/compare_losses.py`."""
