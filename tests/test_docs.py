"""The documentation keeps to what is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_promise_of_robustness_has_its_test():
    lines = (ROOT / "docs" / "robustness.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| ---")]
    named = [re.search(r"`(test_\w+\.py|\w+/[\w/]*\.py)::(test_\w+)` \|$", row) for row in rows]
    headings = [row for row, match in zip(rows, named, strict=True) if not match]
    assert len(headings) == 4 and all(row.endswith("| test |") for row in headings)
    for file, test in (match.groups() for match in named if match):
        source = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert f"def {test}(" in source, f"{file}::{test} is named, but not there"
