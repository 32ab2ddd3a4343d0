"""The benchmark of mean-field inference runs, on a small case, and writes its figures."""

import json

import pytest

from benchmarks import mean_field


def test_prints_and_writes_the_table(tmp_path, capsys):
    file = tmp_path / "figures.json"
    mean_field.main(f"--size 20 15 --classes 3 --repeats 2 --json {file}".split())
    printed = capsys.readouterr().out
    assert "20x15" in printed and "a drawn image" in printed
    report = json.loads(file.read_text())
    times = report["times"]
    assert all(len(times[name]) == 2 and min(times[name]) > 0 for name in ("compiled", "twin"))
    assert report["machine"] in printed and report["date"] in printed
    assert [row[0] for row in report["tables"]["mean_field"]["rows"]] == list(times)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=f"--data {tmp_path} holds no image"):
        mean_field.main(["--data", str(tmp_path)])
