"""What the tests of the trainings share."""

import pytest

from tests.engine.training import write_data_set


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The folder of a data set to train on."""
    root = tmp_path_factory.mktemp("data") / "set"
    write_data_set(root)
    return root
