"""What all tests of the losses take for granted."""

import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(autouse=True)
def scope():
    """Types without a scope are MMSegmentation's, as in its tools."""
    init_default_scope("mmseg")
