"""The index of the configs, for readers and for openmim."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / "configs"


def models() -> list[dict]:
    """All that model-index.yml leads to, as openmim reads it."""
    imported = yaml.safe_load((ROOT / "model-index.yml").read_text())["Import"]
    metafiles = [yaml.safe_load((ROOT / name).read_text()) for name in imported]
    collections = {entry["Name"] for file in metafiles for entry in file["Collections"]}
    listed = [model for file in metafiles for model in file["Models"]]
    assert listed and {model["In Collection"] for model in listed} <= collections
    return listed


def test_every_config_is_listed_once_and_no_other():
    text = (CONFIGS / "README.md").read_text()
    listed = re.findall(r"^\| \[(\w[\w-]*)\]\((\w[\w-]*)\.py\) \|", text, re.MULTILINE)
    assert all(name == file for name, file in listed)
    assert sorted(name for name, _ in listed) == sorted(path.stem for path in CONFIGS.glob("*.py"))


def test_the_metafile_says_of_configs_that_exist_what_the_docs_report():
    readme = (CONFIGS / "README.md").read_text()
    results = (ROOT / "docs" / "results.md").read_text()
    measured = set(re.findall(r"^\| \[([\w-]+)\].* \| \d.* \|$", readme, re.MULTILINE))
    assert {model["Name"] for model in models()} == measured
    for model in models():
        assert (ROOT / model["Config"]).is_file()
        assert Path(model["Config"]).stem == model["Name"]
        miou = f"{model['Results']['Metrics']['mIoU']:.1f}"
        assert re.search(rf"^\| \[{model['Name']}\].* \| {miou}\D.* \|$", readme, re.MULTILINE)
        assert re.search(rf"^\| mIoU \|.* {miou}\D", results, re.MULTILINE)
