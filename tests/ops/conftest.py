"""What all tests of the layers take for granted."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    """Random tensors are the same in every run, and whichever tests run."""
    torch.manual_seed(0)
