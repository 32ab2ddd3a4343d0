"""The tables of the docs and of the READMEs are those of benchmarks/results."""

import json
import re

import pytest

from benchmarks import fill_tables

PAGES = fill_tables.pages()
FILES = sorted(fill_tables.RESULTS.glob("*.json"))
PAGE = """Before
<!-- table: filter/stages -->
| stale |
<!-- end of table -->
After
"""


def place(page):
    return page.relative_to(fill_tables.ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_the_docs_are_as_the_results_have_it(page):
    text = page.read_text(encoding="utf-8")
    assert fill_tables.fill(text, fill_tables.RESULTS) == text


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_result_tells_where_it_is_from(file):
    result = json.loads(file.read_text(encoding="utf-8"))
    assert all(result[key] for key in ("machine", "date", "command"))
    assert re.match(r"20\d\d-\d\d-\d\d", result["date"])


def test_every_result_is_shown():
    shown = set()
    for page in PAGES:
        shown |= set(re.findall(r"<!-- table: (.+?) -->", page.read_text(encoding="utf-8")))
    held = set()
    for file in FILES:
        result = json.loads(file.read_text(encoding="utf-8"))
        held |= {f"{file.stem}/{name}" for name in result.get("tables", {})}
        held |= {f"{file.stem}/comparison"} & {f"{file.stem}/{name}" for name in result}
    assert held == shown


def test_a_region_is_filled_and_nothing_else(tmp_path):
    table = dict(columns=["ms", ""], rows=[["splat", "1.90"], ["blur", ""]])
    (tmp_path / "filter.json").write_text(json.dumps(dict(tables=dict(stages=table))))
    filled = fill_tables.fill(PAGE, tmp_path)
    rows = "| ms | |\n| --- | --- |\n| splat | 1.90 |\n| blur | |\n"
    assert filled == PAGE.replace("| stale |\n", rows)
    assert fill_tables.fill(filled, tmp_path) == filled


def test_a_cell_of_another_table_is_held_once(tmp_path):
    losses = dict(
        columns=["seeds 0 1", "ours", "with `tags`, 0/1"],
        rows=[["mIoU", "40.1 ± 0.2", "50.3 ± 0.4"], ["mIoU, seed 0", "40.0", "50.0"]],
    )
    cell = "{cats/losses | mIoU | with `tags`, 0/1}, or **{cats/losses | mIoU, seed 0 | ours}**"
    tables = dict(stages=dict(columns=["{a set}"], rows=[[cell]]))
    (tmp_path / "cats.json").write_text(json.dumps(dict(tables=dict(losses=losses))))
    (tmp_path / "filter.json").write_text(json.dumps(dict(tables=tables)))
    rows = "| {a set} |\n| --- |\n| 50.3 ± 0.4, or **40.0** |\n"
    assert fill_tables.fill(PAGE, tmp_path) == PAGE.replace("| stale |\n", rows)


@pytest.mark.parametrize(
    "reference, message",
    [
        ("{cats/losses | mIoU | masks}", r"\{cats/losses \| mIoU \| masks\} is to name one cell"),
        ("{cats/losses | IoU | ours}", "is to name one cell"),
        ("{cats/losses | twice | ours}", "is to name one cell"),
        ("{cats/trimaps | mIoU | ours}", "cats.json has no table 'trimaps', but losses"),
        ("{dogs/losses | mIoU | ours}", "dogs.json, which the docs name, is not in"),
    ],
)
def test_a_cell_that_is_not_there_is_named(tmp_path, reference, message):
    losses = dict(columns=["", "ours"], rows=[["mIoU", "1"], ["twice", "1"], ["twice", "2"]])
    (tmp_path / "cats.json").write_text(json.dumps(dict(tables=dict(losses=losses))))
    table = dict(columns=["mIoU"], rows=[[reference]])
    (tmp_path / "filter.json").write_text(json.dumps(dict(tables=dict(stages=table))))
    with pytest.raises(SystemExit, match=message):
        fill_tables.fill(PAGE, tmp_path)


def test_a_comparison_of_losses_is_a_table(tmp_path):
    result = dict(mIoU=61.24, mAcc=70, class_IoU=dict(cat=50), seconds_per_iteration=1)
    result["trimap_mIoU"] = {width: 40 for width in ("2", "4", "8", "16")}
    comparison = dict(ce={"0": result}, densecrf={"0": result | dict(mIoU=63)})
    (tmp_path / "cats.json").write_text(json.dumps(dict(comparison=comparison)))
    filled = fill_tables.fill(PAGE.replace("filter/stages", "cats/comparison"), tmp_path)
    assert "| seeds 0 | cross entropy | + DenseCRF |\n| --- | --- | --- |\n" in filled
    assert "| mIoU | 61.2 | 63.0 |\n" in filled
    table = dict(columns=["mIoU"], rows=[["{cats/comparison | mIoU | + DenseCRF}"]])
    (tmp_path / "filter.json").write_text(json.dumps(dict(tables=dict(stages=table))))
    assert "| 63.0 |\n" in fill_tables.fill(PAGE, tmp_path)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(SystemExit, match="filter.json, which the docs name, is not in"):
        fill_tables.fill(PAGE, tmp_path)
    (tmp_path / "filter.json").write_text(json.dumps(dict(tables=dict(loss={}))))
    with pytest.raises(SystemExit, match="filter.json has no table 'stages', but loss"):
        fill_tables.fill(PAGE, tmp_path)
    with pytest.raises(SystemExit, match="without <!-- end of table -->"):
        fill_tables.fill(PAGE.replace("<!-- end of table -->", ""), tmp_path)


def test_the_tool_writes_what_differs_and_checks_without(tmp_path, monkeypatch):
    pages = [tmp_path / name for name in ("README.md", "configs/README.md", "docs/page.md")]
    for page in pages:
        page.parent.mkdir(exist_ok=True)
        page.write_text(PAGE)
    table = dict(columns=["ms"], rows=[["1"]])
    (tmp_path / "filter.json").write_text(json.dumps(dict(tables=dict(stages=table))))
    monkeypatch.setattr(fill_tables, "ROOT", tmp_path)
    monkeypatch.setattr(fill_tables, "RESULTS", tmp_path)
    with pytest.raises(
        SystemExit, match=r"README\.md, configs/README\.md, docs/page\.md: not what"
    ):
        fill_tables.main(["--check"])
    assert all(page.read_text() == PAGE for page in pages)
    fill_tables.main([])
    assert not any("| stale |" in page.read_text() for page in pages)
    fill_tables.main(["--check"])
