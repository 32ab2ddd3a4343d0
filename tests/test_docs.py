"""The documentation keeps to what is there, and to one form."""

import ast
import re
from pathlib import Path

from tests.ops.energies import ENERGIES

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


def test_every_energy_is_in_both_tables_of_energies():
    page = (ROOT / "docs" / "energies.md").read_text(encoding="utf-8")
    names, formulas = re.findall(r"(?m)^\| energy \| .*\n((?:\| .*\n)+)", page)
    for kind, energy in ENERGIES.items():
        called = rf"(?m)^\| (.+?) \| `{kind}` \| `{energy.function.__name__}` \| .+ \|$"
        assert (row := re.search(called, names)), f"{kind} is in no row of docs/energies.md"
        if kind != "SelfLabelLoss":  # no energy, but a cross entropy, with a section of its own
            assert f"\n| {row[1]} | " in formulas, f"{row[1]} has no formula in docs/energies.md"


PAGES = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "configs/README")]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """Those of a page's headings, as the sites that show it make them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere():
    dead = []
    for page in PAGES:
        for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if re.match(r"https?://", link):
                continue
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                dead.append(f"{page.relative_to(ROOT)}: {link}")
    assert not dead


def test_every_page_is_found_from_the_first_one():
    found, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop().resolve()
        if page not in found:
            found.add(page)
            links = re.findall(r"\]\(([^)\s#]+\.md)[^)]*\)", page.read_text(encoding="utf-8"))
            waiting += [page.parent / link for link in links]
    generated = ROOT / "docs" / "api.md"  # shown by the site alone
    assert {page.resolve() for page in PAGES} - {generated} == found


def docstrings(file: Path) -> list[str]:
    """Those of a module, its classes and its functions."""
    documented = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return [ast.get_docstring(node) or "" for node in nodes if isinstance(node, documented)]


def test_the_entries_of_docstrings_begin_with_capitals_and_leave_types_to_the_signature():
    forms = dict.fromkeys(("Args", "Raises"), r"\*{0,2}[\w.]+(, \w+)*: [^a-z].*")
    forms["Returns"] = r"(?![\w.]+(\[.*\])?: ).*"
    entries = [
        (file.relative_to(ROOT), kind, entry)
        for folder in ("mmseg_rloss", "tools", "demo", "benchmarks")
        for file in sorted((ROOT / folder).rglob("*.py"))
        for text in docstrings(file)
        for kind, section in re.findall(r"(?m)^(Args|Raises|Returns):\n((?:    .*\n?)+)", text)
        for entry in re.findall(r"(?m)^    (\S.*)$", section)
    ]
    assert len(entries) > 300
    assert not [entry for entry in entries if not re.fullmatch(forms[entry[1]], entry[2])]
