"""docs/money.md has every kind of difference, in the words of the table that the program uses."""

import re
from pathlib import Path

from audit.money.kinds import KINDS

DOCS = Path(__file__).parents[3] / "docs" / "money.md"


def test_the_docs_hold_every_kind_in_the_programs_words() -> None:
    section = DOCS.read_text().split("\n## Reconciliation\n")[1].split("\n## ")[0].split("### For programs")[0]
    rows = [
        tuple(cell.strip() for cell in row.strip("|").split("|")) for row in re.findall(r"^\| `\w+` .*$", section, re.M)
    ]
    expected = {
        (f"`{name}`", kind.meaning, ("**a person:** " if kind.by == "person" else "") + kind.repair)
        for name, kind in KINDS.items()
    }
    assert set(rows) == expected
