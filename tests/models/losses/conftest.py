"""What all tests of the losses take for granted."""

from tests.datasets.conftest import scope  # noqa: F401
