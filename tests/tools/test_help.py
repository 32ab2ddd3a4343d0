"""Every tool with a `main` of its own lists its options."""

import importlib

import pytest

NAMES = [
    "browse_scribbles",
    "dataset_converters.pascal_scribble",
    "dataset_converters.scribbles",
    "make_sample_dataset",
    "make_scribbles",
    "predict",
    "visualize_densecrf",
]


@pytest.mark.parametrize("name", NAMES)
def test_help_names_options_and_their_meaning(name, capsys):
    tool = importlib.import_module(f"tools.{name}")
    with pytest.raises(SystemExit) as stop:
        tool.main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert tool.__doc__.splitlines()[0] in text
    assert "--out" in text
