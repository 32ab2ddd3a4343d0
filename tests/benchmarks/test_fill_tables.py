"""The tables of the docs are those of benchmarks/results."""

import json
import re

import pytest

from benchmarks import fill_tables

PAGES = sorted((fill_tables.ROOT / "docs").glob("*.md"))
FILES = sorted(fill_tables.RESULTS.glob("*.json"))
PAGE = """Before
<!-- table: filter/stages -->
| stale |
<!-- end of table -->
After
"""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
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


def test_a_comparison_of_losses_is_a_table(tmp_path):
    result = dict(mIoU=61.24, mAcc=70, class_IoU=dict(cat=50), seconds_per_iteration=1)
    result["trimap_mIoU"] = {width: 40 for width in ("2", "4", "8", "16")}
    comparison = dict(ce={"0": result}, densecrf={"0": result | dict(mIoU=63)})
    (tmp_path / "cats.json").write_text(json.dumps(dict(comparison=comparison)))
    filled = fill_tables.fill(PAGE.replace("filter/stages", "cats/comparison"), tmp_path)
    assert "| seeds 0 | cross entropy | + DenseCRF |\n| --- | --- | --- |\n" in filled
    assert "| mIoU | 61.2 | 63.0 |\n" in filled


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(SystemExit, match="filter.json, which the docs name, is not in"):
        fill_tables.fill(PAGE, tmp_path)
    (tmp_path / "filter.json").write_text(json.dumps(dict(tables=dict(loss={}))))
    with pytest.raises(SystemExit, match="filter.json has no table 'stages', but loss"):
        fill_tables.fill(PAGE, tmp_path)
    with pytest.raises(SystemExit, match="without <!-- end of table -->"):
        fill_tables.fill(PAGE.replace("<!-- end of table -->", ""), tmp_path)


def test_the_tool_writes_what_differs_and_checks_without(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text(PAGE)
    table = dict(columns=["ms"], rows=[["1"]])
    (tmp_path / "filter.json").write_text(json.dumps(dict(tables=dict(stages=table))))
    monkeypatch.setattr(fill_tables, "ROOT", tmp_path)
    monkeypatch.setattr(fill_tables, "RESULTS", tmp_path)
    with pytest.raises(SystemExit, match=r"docs/page\.md: not what"):
        fill_tables.main(["--check"])
    assert (tmp_path / "docs" / "page.md").read_text() == PAGE
    fill_tables.main([])
    assert "| stale |" not in (tmp_path / "docs" / "page.md").read_text()
    fill_tables.main(["--check"])
