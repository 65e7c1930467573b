"""Settings from the environment, read once at the start, all complaints at once.

A field ``database_dsn`` of a class read with the prefix ``RESERVATION`` comes from ``RESERVATION_DATABASE_DSN``, or
from the file that ``RESERVATION_DATABASE_DSN_FILE`` names (one trailing newline is dropped): secrets come as files.
An empty variable counts as not set.
"""

import dataclasses
import os
import socket
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ticketflow.runtime.address import Address, parse_addresses
from ticketflow.runtime.errors import SettingsError

S = TypeVar("S")

FILE_BYTES_MAX = 65_536
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")


NAME_CHARS_MAX = 64  # what a lease's owner and a feed's name may have


def host_name() -> str:
    """This machine's; in a container its id: unlike those of the other replicas, and the same after a restart, so that
    a process that died takes up its own lease at once."""
    return socket.gethostname()[:NAME_CHARS_MAX]


class Secret(str):
    """A string that does not show itself in reprs, and therefore not in logs or tracebacks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"


def load(cls: type[S], prefix: str, environ: Mapping[str, str] | None = None) -> S:
    """An instance of ``cls``, a msgspec.Struct or a dataclass; fields without a default are required.

    Types: str, Secret, int, float, bool (1/0, true/false, yes/no, on/off), Path, Literal, Address, tuples of these
    (comma separated), and each of them ``| None``. Raises SettingsError with one line for each setting at fault.
    """
    given = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    problems: list[str] = []
    hints = typing.get_type_hints(cls)
    for field, required in _fields(cls):
        name = f"{prefix.rstrip('_')}_{field}".upper()
        try:
            text = _text(name, given)
            if text is not None:
                values[field] = _convert(text, hints[field])
            elif required:
                problems.append(f"{name} is not set (nor {name}_FILE)")
        except ValueError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise SettingsError(problems)
    try:
        return cls(**values)
    except (ValueError, TypeError) as error:  # what __post_init__ has against a combination
        raise SettingsError([str(error)]) from error


def _fields(cls: type[Any]) -> list[tuple[str, bool]]:
    """(name, whether it is required)"""
    if issubclass(cls, msgspec.Struct):
        return [(field.name, field.required) for field in msgspec.structs.fields(cls)]
    missing = dataclasses.MISSING
    return [(f.name, f.default is missing and f.default_factory is missing) for f in dataclasses.fields(cls)]


def _text(name: str, environ: Mapping[str, str]) -> str | None:
    text, file = environ.get(name) or None, environ.get(f"{name}_FILE") or None
    if text is not None and file is not None:
        raise ValueError(f"set either it or {name}_FILE, not both")
    return _read(Path(file)) if file is not None else text


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
        text = content.decode()
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text") from error
    if len(content) > FILE_BYTES_MAX:
        raise ValueError(f"{path} has more than {FILE_BYTES_MAX} bytes")
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError(f"{path} is empty")
    return text


def _convert(text: str, wanted: Any) -> Any:
    """``text`` as a ``wanted``. Raises ValueError, whose message never repeats a secret."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return _convert(text, next(option for option in arguments if option is not types.NoneType))
    if origin is typing.Annotated:
        return _convert(text, arguments[0])
    if origin is typing.Literal:
        if text not in arguments:
            raise ValueError(f"{text!r} is none of {', '.join(map(str, arguments))}")
        return text
    if origin is tuple:
        if arguments[0] is Address:
            return parse_addresses(text)
        parts = [part.strip() for part in text.split(",")]
        return tuple(_convert(part, arguments[0]) for part in parts if part)
    try:
        return _CONVERTERS[wanted](text)
    except KeyError:
        raise TypeError(f"settings of type {wanted} are not supported") from None


def _bool(text: str) -> bool:
    if text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    raise ValueError(f"{text!r} is neither true nor false")


def _number(kind: type[int] | type[float], word: str) -> Callable[[str], float]:
    def convert(text: str) -> float:
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"{text!r} is not {word}") from None

    return convert


_CONVERTERS: dict[Any, Callable[[str], Any]] = {
    str: str,
    Secret: Secret,
    int: _number(int, "a whole number"),
    float: _number(float, "a number"),
    bool: _bool,
    Path: Path,
    Address: Address.parse,
}
