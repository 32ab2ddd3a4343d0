"""demo/scribble_to_mask.ipynb, run from the first cell to the last on a short schedule."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from demo import web

NOTEBOOK = web.ROOT / "demo" / "scribble_to_mask.ipynb"
# What the test looks at, printed by a last cell.
REPORT = """
import json

print(json.dumps(dict(
    agreement=float(agreement),
    background=float((scene(OWN)[2] == 0).mean()),
    miou=float(scores["mIoU"]),
    sizes={name: prediction.shape for name, prediction in predictions.items()},
    images={name: read_image(val.images[name]).shape[:2] for name in predictions},
)))
"""


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def parameters(notebook) -> nbformat.NotebookNode:
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    return cell


def test_the_notebook_is_committed_without_outputs(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(not cell.outputs and cell.execution_count is None for cell in code)


def test_the_notebook_runs_and_its_network_learns(notebook, tmp_path):
    work = tmp_path / "work"
    shorter = nbformat.from_dict(notebook)
    parameters(shorter).source = f"WORK = Path({str(work)!r})\nSCENES = 20\nITERATIONS = 20"
    shorter.cells.append(nbformat.v4.new_code_cell(REPORT))
    client = NotebookClient(
        shorter,
        timeout=600,
        startup_timeout=300,
        kernel_name="python3",
        resources=dict(metadata=dict(path=str(Path(NOTEBOOK).parent))),
    )
    client.execute()

    outputs = [output for cell in shorter.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 5
    errors = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not errors
    text = "".join(output.text for output in outputs if output.get("name") == "stdout")
    losses = [float(value) for value in re.findall(r"'decode.loss_ce': '([\d.]+)'", text)]
    assert len(losses) == 2 and losses[1] < 0.9 * losses[0], "those of the first and the last"
    report = json.loads(outputs[-1].text)
    assert report["agreement"] > 0.97 > 0.95 > report["background"]
    assert report["sizes"] == report["images"] and len(report["sizes"]) == 4
    assert 0 < report["miou"] < 100
    assert (work / "run" / "iter_20.pth").is_file()
