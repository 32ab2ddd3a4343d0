"""energy_scale on the sample data: the rule by which a weight carries over, and what needs none."""

import json

import pytest

from benchmarks import energy_scale
from tools import make_sample_dataset


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("energy_scale")
    make_sample_dataset.main(["--out", str(folder / "data"), "--train", "3", "--val", "1"])
    options = "--every 1 --count 3 --crops 64 256 --scales 0.5 1 --sigmas-xy 10 100"
    table, plot = folder / "table.json", folder / "plot.png"
    files = ["--data", str(folder / "data"), "--json", str(table), "--plot", str(plot)]
    energy_scale.main([*files, *options.split()])
    assert plot.stat().st_size > 0
    return json.loads(table.read_text())["settings"]


def test_the_first_row_is_the_published_setting(rows):
    settings = [tuple(row[name] for name in energy_scale.Setting._fields) for row in rows]
    assert settings[0] == energy_scale.PUBLISHED
    assert len(set(settings)) == len(settings)
    assert rows[0]["weight"] == energy_scale.PUBLISHED_WEIGHT


def test_the_plain_gradient_grows_with_pixels_times_mass(rows):
    strengths = [row["plain"] / (row["pixels"] * row["mass"]) for row in rows]
    gradients = [row["plain"] for row in rows]
    assert max(gradients) > 1000 * min(gradients)
    assert max(strengths) < 4 * min(strengths)


def test_the_normalized_gradient_fits_every_setting(rows):
    gradients = [row["normalized"] for row in rows]
    assert max(gradients) < 3 * min(gradients)


def test_numbers_are_written_as_in_the_docs():
    assert [energy_scale.powers(n) for n in (1.5e-9, 17e6, 3.14)] == ["1.5e-9", "1.7e7", "3.1e0"]


def test_images_of_any_suffix_are_taken_if_they_have_a_mask_and_a_scribble(tmp_path):
    masks, scribbles = "SegmentationClassAug", "pascal_2012_scribble"
    held = {"JPEGImages": ["b.png", "a.JPG", "c.webp", "d.jpg"]}
    held |= {masks: ["a.png", "b.png", "c.png", "e.png"], scribbles: ["a.png", "b.png", "d.png"]}
    for folder, names in held.items():
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    found = [example.image.name for example in energy_scale.examples_in(tmp_path)]
    assert found == ["a.JPG", "b.png"]
