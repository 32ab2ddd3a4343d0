"""docs/own_data.md, walked through: its commands and its config, on a few small images."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmseg_rloss.datasets.label_png import voc_palette
from tests.children import run_tool
from tests.tools.network import write_image
from tools import browse_scribbles, predict
from tools.dataset_converters import scribbles

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
SIZE = (48, 64)
NAMES = ("a plant.jpg", "b.v2.png", "sub/c.tif", "d.jpeg", "e.JPG", "f.bmp")
# What makes the training short.
SHORTER = {
    "pretrained={{_base_.checkpoint}}": "pretrained=None",
    "(2048, 512)": "(64, 48)",
    "crop_size=(512, 512)": "crop_size=(32, 32)",
    "batch_size=8": "batch_size=2, num_workers=0, persistent_workers=False",
    "val_dataloader = dict(": "val_dataloader = dict(num_workers=0, persistent_workers=False, ",
    "max_iters=4000, val_interval=500": "max_iters=2, val_interval=2",
    "checkpoint=dict(interval=500)": "checkpoint=dict(interval=1)",
}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A folder with the tools, images and what labelme has written about them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    for i, name in enumerate(NAMES):
        write_image(tmp_path / "images" / name, SIZE)
        lines = {
            "background": [[2, 3], [60, 5]],
            "leaf": [[5, 20], [50, 24]],
            "fruit": [[8, 40], [40, 44]],
        }
        shapes = [
            dict(label=label, shape_type="linestrip", points=points)
            for label, points in lines.items()
        ]
        drawn = dict(shapes=shapes, imagePath=f"../images/{name}", imageHeight=48, imageWidth=64)
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / f"{i}.json").write_text(json.dumps(drawn))
    return tmp_path


def test_its_commands_lead_from_an_export_to_pictures(project, capsys):
    commands = [shlex.split(line) for line in re.findall(r"^python (tools/.*)", PAGE, re.MULTILINE)]
    assert [Path(command[0]).stem for command in commands] == [
        "scribbles",
        "browse_scribbles",
        "train",
        "predict",
    ]
    convert, browse, train, show = (command[1:] for command in commands)
    scribbles.main(convert)
    (config,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert config.count("\n") <= 31
    (line,) = re.findall(r"^metainfo = .*", config, re.MULTILINE)
    assert line in capsys.readouterr().out, "the line that the converter prints"
    for long, short in SHORTER.items():
        assert long in config
        config = config.replace(long, short)
    (project / "plants.py").write_text(config)

    browse_scribbles.main(browse)
    assert (project / "scribbles.png").is_file()

    process = run_tool(project / "tools" / "train.py", *train, cwd=project)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "mIoU" in process.stdout
    assert (project / "runs" / "plants" / "iter_1.pth").is_file(), "to go on from after Ctrl-C"
    (log,) = project.glob("runs/plants/*/*.log")
    dump = "paramwise_options -- "  # hundreds of lines, for a multiple of the rate in the base
    assert dump in log.read_text() and dump not in process.stdout + process.stderr
    predict.main([part.replace("iter_4000", "iter_2") for part in show])
    found = {path.name for path in project.glob("predictions/overlays/**/*.jpg")}
    assert len(found) == len(NAMES)
    with Image.open(project / "predictions" / "masks" / "a plant.png") as mask:
        assert mask.size == SIZE[::-1]
        assert np.array_equal(np.reshape(mask.getpalette(), (-1, 3))[:3], voc_palette()[:3])
