"""Values written out as text in a statement: the driver takes longer to escape one than the server takes to read it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

Params: TypeAlias = Sequence[Any] | Mapping[str, Any] | None
Escape = Callable[[Any], str]


def filled(statement: str, params: Sequence[Any] | Mapping[str, Any], escape: Escape) -> str:
    """``statement`` with its ``%s`` or ``%(name)s`` replaced. A list or tuple is written as ``(a, b)``. ``escape``: the
    driver's, for the types that are not known here."""
    if isinstance(params, Mapping):
        return statement % {name: literal(value, escape) for name, value in params.items()}
    return statement % tuple([literal(value, escape) for value in params])


def literal(value: Any, escape: Escape) -> str:
    # By the very type: a subclass (an enum, say) may mean something else by itself, and is the driver's to escape.
    kind = type(value)
    if kind is list or kind is tuple:
        return f"({','.join([literal(one, escape) for one in value])})"
    return LITERALS.get(kind, escape)(value)


def _text(value: str) -> str:
    """Sessions have no NO_BACKSLASH_ESCAPES (see mariadb_driver.py); in quotes nothing but these two is special."""
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if "'" in value:
        value = value.replace("'", "\\'")
    return f"'{value}'"


def _bytes(value: bytes) -> str:
    return f"X'{value.hex()}'"


def _moment(value: datetime) -> str:
    return f"'{value.isoformat(' ')}'"


def _null(_value: None) -> str:
    return "NULL"


LITERALS: dict[type, Escape] = {
    str: _text,
    bytes: _bytes,
    int: str,
    datetime: _moment,
    type(None): _null,
}
