"""Arguments that every tool refuses by name before it does any work."""

import importlib
import os

import pytest

NETWORK = ["config.py", "network.pth", "image.jpg", "--out", "out"]
PATHS = {
    "browse_scribbles": ["set", "--out", "sheet.png"],
    "compare_losses": ["--config", "config.py", "--out", "out"],
    "dataset_converters.pascal_scribble": ["--out", "out"],
    "dataset_converters.scribbles": ["coco", ".", "--out", "out"],
    "make_sample_dataset": ["--out", "out"],
    "make_scribbles": ["masks", "--out", "out"],
    "predict": NETWORK,
    "visualize_densecrf": NETWORK,
}
LABELS = ("-1", "256", "4.0", "nan")
COUNTS = ("0", "-1", "2.5", "many")
POSITIVE = ("0", "-1", "nan", "inf", "wide")
BAD = [
    ("browse_scribbles", "--count", COUNTS),
    ("browse_scribbles", "--ignore-index", LABELS),
    ("browse_scribbles", "--mask-ignore-index", LABELS),
    ("browse_scribbles", "--predictions", ("folder", "a=nowhere", "mask=.", "a=. a=.")),
    ("browse_scribbles", "--split", ("test",)),
    ("browse_scribbles", "--out", (".", "sheet", "sheet.doc")),
    ("compare_losses", "--seeds", ("-1", "1.5")),
    ("dataset_converters.pascal_scribble", "--ignore-index", LABELS),
    ("dataset_converters.scribbles", "--width", (*COUNTS, "4")),
    ("dataset_converters.scribbles", "--val-every", (*COUNTS, "1")),
    ("dataset_converters.scribbles", "--images", ("nowhere",)),
    ("dataset_converters.scribbles", "--classes", ("a a",)),
    ("make_sample_dataset", "--train", COUNTS),
    ("make_sample_dataset", "--val", COUNTS),
    ("make_sample_dataset", "--size", ("31 99", "99 0", "64 nan")),
    ("make_sample_dataset", "--seed", ("-1", "0.5")),
    ("make_scribbles", "--seed", ("-1", "0.5")),
    ("make_scribbles", "--ignore-index", LABELS),
    ("predict", "--refine", ("-1", "2.5")),
    ("visualize_densecrf", "--sigma-rgb", POSITIVE),
    ("visualize_densecrf", "--sigma-xy", POSITIVE),
    ("visualize_densecrf", "--scale-factor", (*POSITIVE, "1.5")),
    ("visualize_densecrf", "--weight", ("nan", "inf", "heavy")),
    ("visualize_densecrf", "--ignore-index", LABELS),
    *((tool, "--out", ("file.txt", "file.txt/below")) for tool in PATHS),
]


@pytest.mark.parametrize(
    "tool, option, value", [(tool, option, v) for tool, option, values in BAD for v in values]
)
def test_a_bad_argument_is_named(tmp_path, monkeypatch, capsys, tool, option, value):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").touch()
    call = [*PATHS[tool], option, *value.split()]
    if value.startswith("-"):
        call = [*PATHS[tool], f"{option}={value}"]
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(f"tools.{tool}").parse_args(call)
    assert stop.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err


@pytest.mark.parametrize("tool", PATHS)
def test_a_folder_that_may_not_be_written_to_is_named(tmp_path, monkeypatch, capsys, tool):
    # The user that runs the tests may be root, who may write anywhere.
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path and access(path, mode))
    for out in (tmp_path, tmp_path / "new" / "sheet.png"):
        call = [*PATHS[tool][:-1], str(out)]
        if tool == "browse_scribbles" and out == tmp_path:
            continue  # a folder is not a picture
        with pytest.raises(SystemExit):
            importlib.import_module(f"tools.{tool}").parse_args(call)
        assert f"{tmp_path} may not be written to" in capsys.readouterr().err
