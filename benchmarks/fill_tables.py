"""Put the tables of benchmarks/results into the pages that show them, between comments.

    python benchmarks/fill_tables.py [--check]

A result is what a benchmark wrote by `--json`: machine, date and command beside its figures. On a
page, `<!-- table: FILE/TABLE -->` begins the region of a table, whose file is FILE.json, and
`<!-- end of table -->` ends it. Of a file whose "comparison" is a comparison.json of
tools/compare_losses.py, that is the name of the table. In a cell,
`{FILE/TABLE | row | column}` stands for the cell of another table, so that each figure is held in
one file. With --check, nothing is written: pages that differ are named, and the status is 1.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGES = ("README.md", "configs/README.md", "docs/*.md")
REGION = re.compile(r"(<!-- table: (\S+)/(.+?) -->\n)((?:\|.*\n)*)(<!-- end of table -->)")
REFERENCE = re.compile(r"\{(\w+)/([^|{}]+) \| ([^|{}]+) \| ([^|{}]+)\}")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, name what differs")
    args = parser.parse_args(argv)
    different = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        filled = fill(text, RESULTS)
        if filled != text:
            different.append(page.relative_to(ROOT).as_posix())
            if not args.check:
                page.write_text(filled, encoding="utf-8")
    if args.check and different:
        raise SystemExit(f"{', '.join(different)}: not what benchmarks/results holds; fill them")
    print(f"Filled: {', '.join(different) or 'nothing, all is as benchmarks/results has it'}")


def pages() -> list[Path]:
    """The files whose tables are filled."""
    return sorted(page for pattern in PAGES for page in ROOT.glob(pattern))


def fill(text: str, results: Path) -> str:
    """A page with its tables as the results have them.

    Raises:
        SystemExit: There is no result or no table of a name, or a region does not end.
    """
    if text.count("<!-- table: ") != len(REGION.findall(text)):
        raise SystemExit("a table of the docs begins without <!-- end of table --> after it")
    return REGION.sub(
        lambda match: match[1] + markdown(results, match[2], match[3]) + match[5], text
    )


def markdown(results: Path, file: str, name: str) -> str:
    """A table of a result, in Markdown."""
    columns, *rows = cells(results, file, name)
    return "".join(f"{line(row)}\n" for row in (columns, ["---"] * len(columns), *rows))


def cells(results: Path, file: str, name: str) -> list[list[str]]:
    """The rows of a table, that of the columns first, without references.

    Raises:
        SystemExit: There is no such table, or a reference in it leads nowhere.
    """
    path = results / f"{file}.json"
    if not path.is_file():
        raise SystemExit(f"{path.name}, which the docs name, is not in {results}")
    result = json.loads(path.read_text(encoding="utf-8"))
    if name == "comparison" in result:
        from mmseg_rloss.comparison.report import table  # imports MMSegmentation

        columns, _, *rows = (row[2:-2].split(" | ") for row in table(result["comparison"]))
        return [columns, *rows]
    tables = result.get("tables", {})
    if name not in tables:
        raise SystemExit(f"{path.name} has no table {name!r}, but {', '.join(tables)}")
    return [
        [REFERENCE.sub(lambda match: referenced(results, match), cell) for cell in row]
        for row in (tables[name]["columns"], *tables[name]["rows"])
    ]


def referenced(results: Path, reference: re.Match[str]) -> str:
    """The cell of another table, whose row is named by its first cell."""
    file, name, row, column = reference.groups()
    columns, *rows = cells(results, file, name)
    found = [dict(zip(columns, of_row, strict=True)) for of_row in rows if of_row[0] == row]
    if len(found) != 1 or columns.count(column) != 1:
        raise SystemExit(f"{reference[0]} is to name one cell, but {file}.json has none or several")
    return found[0][column]


def line(row: Sequence[str]) -> str:
    """A row in Markdown; a cell without text is one space wide, as in the docs."""
    return "|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|"


if __name__ == "__main__":
    main()
