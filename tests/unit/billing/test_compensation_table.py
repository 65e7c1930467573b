"""The matrix in docs/money.md has a tick for each cell that is tested, and for no other."""

import re
from pathlib import Path

from tests.integration.billing.compensation import Way
from tests.integration.billing.test_compensation import STEPS

DOCS = Path(__file__).parents[3] / "docs" / "money.md"


def ticked() -> dict[str, set[str]]:
    """By step: the ways to pay that have a tick."""
    lines = DOCS.read_text().splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("| step that fails |"))
    columns = [cell.strip() for cell in lines[head].strip("|").split("|")]
    found: dict[str, set[str]] = {}
    for line in lines[head + 2 :]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        marks = {way for way, mark in zip(columns, cells, strict=True) if mark == "✓"}
        found[cells[0].strip("`")] = marks
    return found


def test_every_cell_of_the_matrix_has_its_test_and_every_test_its_cell() -> None:
    assert ticked() == {step: {str(way) for way in ways} for step, (_, ways) in STEPS.items()}
    assert {way for marks in ticked().values() for way in marks} == set(Way)


def test_every_test_that_the_tables_name_exists() -> None:
    named = set(re.findall(r"\| `(test_\w+)` \|$", DOCS.read_text(), re.MULTILINE))
    files = (DOCS.parents[1] / "tests" / "integration" / "billing").glob("test_*.py")
    there = {name for file in files for name in re.findall(r"^async def (test_\w+)", file.read_text(), re.MULTILINE)}
    assert len(named) == 11
    assert named - there == set()
