"""What the tests of several tools share."""

import matplotlib.figure
import pytest


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
