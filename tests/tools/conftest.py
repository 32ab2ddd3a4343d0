"""What the tests of several tools share."""

import matplotlib.figure
import pytest

from tests.tools.network import write_network


@pytest.fixture
def figures(monkeypatch) -> list:
    """The figures that the tool saves, beside their files."""
    saved = []
    save = matplotlib.figure.Figure.savefig

    def savefig(figure, *args, **kwargs):
        saved.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", savefig)
    return saved


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Config, checkpoint and the rest of a small network."""
    return write_network(tmp_path_factory.mktemp("network"))
