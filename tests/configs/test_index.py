"""The index of the configs, for readers and for openmim."""

import re
from pathlib import Path

import yaml
from mmengine.config import Config

from benchmarks import fill_tables

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
    measured = dict(
        row[0::3] for row in fill_tables.cells(fill_tables.RESULTS, "overview", "configs")
    )
    reported = {f"[{model['Name']}]({Path(model['Config']).name})": model for model in models()}
    assert reported.keys() == measured.keys() - {"config"}
    for link, model in reported.items():
        assert (ROOT / model["Config"]).is_file()
        assert Path(model["Config"]).stem == model["Name"]
        assert re.match(rf"{model['Results']['Metrics']['mIoU']:.1f}\D", measured[link])


def test_the_metafile_says_how_the_configs_train():
    for model in models():
        config = Config.fromfile(ROOT / model["Config"])
        said = model["Metadata"]
        assert said["Batch Size"] == config.train_dataloader.batch_size
        assert said["Iterations"] == config.train_cfg.max_iters
        assert said["Architecture"] == ["MobileNetV2", "DeepLabV3+"]
        network = config.model.backbone.type, config.model.decode_head.type
        assert network == ("MobileNetV2", "DepthwiseSeparableASPPHead")
