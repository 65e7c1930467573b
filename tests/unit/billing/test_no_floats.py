"""No float anywhere near money: not in the code, not in the SQL, not in the tables."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVICES = ("audit", "billing", "bridge", "portal", "reservation", "sandbox", "ticketflow")

# Where all is money, there is no float and no division at all.
MONEY_FILES = sorted(
    file.relative_to(ROOT)
    for pattern in (
        "billing/ledger*.py",
        "billing/refund*.py",
        "billing/exports/csv_text.py",
        "billing/store/ledger*.py",
        "billing/store/wallets.py",
        "billing/store/exports.py",
        "audit/ledger.py",
    )
    for file in ROOT.glob(pattern)
)
ALL_FILES = sorted(file.relative_to(ROOT) for folder in SERVICES for file in (ROOT / folder).rglob("*.py"))
SCHEMAS = sorted(file.relative_to(ROOT) for folder in SERVICES for file in (ROOT / folder).rglob("*.sql"))

INEXACT = {"float", "Fraction", "round", "truediv"}
EXACT_ELSEWHERE = {"Decimal"}  # a provider's wire has decimal numbers; the ledger has whole ones only
INEXACT_SQL = re.compile(r"\b(FLOAT|DOUBLE|REAL|DECIMAL|NUMERIC|ROUND|AVG|money)\b", re.IGNORECASE)


def names_in(node: ast.AST) -> set[str]:
    """Names, attributes, arguments and keywords below a node."""
    found = set()
    for part in ast.walk(node):
        found |= {getattr(part, field, None) for field in ("id", "attr", "arg")}
    return {name for name in found if isinstance(name, str)}


def inexact(tree: ast.AST, names: set[str] = INEXACT) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        divides = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        literal = isinstance(node, ast.Constant) and isinstance(node.value, float | complex)
        if divides or literal or (isinstance(node, ast.Name | ast.Attribute) and names_in(node) & names):
            yield node


def about_money(node: ast.AST) -> bool:
    return any("minor" in name.split("_") for name in names_in(node))


def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """The smallest statements, and the arguments of functions."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.stmt) and not any(isinstance(child, ast.stmt) for child in ast.iter_child_nodes(node))
        ) or isinstance(node, ast.arg):
            yield node


@pytest.mark.parametrize("file", MONEY_FILES, ids=str)
def test_money_code_has_no_float_and_divides_nothing(file: Path) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert [
        f"{file}:{getattr(node, 'lineno', 0)}: {ast.unparse(node)}" for node in inexact(tree, INEXACT | EXACT_ELSEWHERE)
    ] == []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "SELECT" in node.value:
            assert "/" not in node.value
            assert not INEXACT_SQL.search(node.value)


def test_no_statement_of_any_service_mixes_minor_units_with_floats() -> None:
    wrong = []
    for file in ALL_FILES:
        for statement in statements(ast.parse((ROOT / file).read_text())):
            if about_money(statement) and any(inexact(statement)):
                wrong.append(f"{file}:{getattr(statement, 'lineno', 0)}: {ast.unparse(statement)}")
    assert wrong == []


def test_every_column_of_minor_units_is_a_whole_number() -> None:
    columns = 0
    for file in SCHEMAS:
        for line in re.sub(r"--[^\n]*|COMMENT '(?:[^']|'')*'", "", (ROOT / file).read_text()).splitlines():
            if found := re.match(r"\s*(?:ADD COLUMN (?:IF NOT EXISTS )?)?(\w*_minor)\s+(\w+)", line):
                columns += 1
                assert found[2].lower() in ("bigint", "integer", "int"), f"{file}: {line}"
            assert not re.match(r"\s*\w+\s+(FLOAT|DOUBLE|REAL|DECIMAL|NUMERIC|money)\b", line, re.IGNORECASE), line
    assert columns > 5


@pytest.mark.parametrize(
    "code",
    ["total_minor = a_minor / 2", "def f(price_minor: float): pass", "x_minor = int(1.5 * y)", "fee_minor /= 3"],
)
def test_the_search_finds_what_it_looks_for(code: str) -> None:
    assert any(about_money(statement) and any(inexact(statement)) for statement in statements(ast.parse(code)))
