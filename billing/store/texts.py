"""Pieces of statements."""

from collections.abc import Mapping
from typing import Any


def by_id(column: str, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """An expression that gives each row the value of its id, NULL where it has none; and its parameters."""
    if not values:
        return "NULL", []
    whens = " ".join(["WHEN %s THEN %s"] * len(values))
    return f"CASE {column} {whens} END", [part for pair in values.items() for part in pair]
