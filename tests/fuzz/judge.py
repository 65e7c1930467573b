"""Whether a frame's body is a message, judged by docs/feed-protocol.md sections 3, 4 and 13 and the `msgpack` library.

Nothing of ticketflow/feed is imported: two readings of one document are compared.
"""

import re
from collections.abc import Callable
from typing import Any

import msgpack

SMALL = 1020
NESTED_MAX = 4
SEQ_MAX = 2**63 - 1

Check = Callable[[Any], bool]


class Ext:
    """Stands for an ext value, which no message may hold."""


class Map(list[Any]):
    """A map as its pairs; its keys may be anything."""


def _int(low: int, high: int) -> Check:
    return lambda value: type(value) is int and low <= value <= high


def _text(low: int, high: int, pattern: str = r"(?s:.*)") -> Check:
    return lambda value: (
        type(value) is str
        and low <= len(value) <= high
        and re.fullmatch(pattern, value, re.ASCII) is not None
        and not any("\ud800" <= letter <= "\udfff" for letter in value)
    )


def _or_nil(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _bodies(value: Any) -> bool:
    return type(value) is list and 1 <= len(value) <= 1024 and all(type(body) is bytes and body for body in value)


count, seq, version = _int(0, SEQ_MAX), _int(1, SEQ_MAX), _int(1, 65535)
name, reason = _text(1, 64), _text(0, 200)
FIELDS: dict[str, list[Check]] = {
    "hello": [version, _text(1, 64, r"[a-z0-9][a-z0-9._-]*"), count, count, count, name],
    "welcome": [
        version,
        _or_nil(count),
        _or_nil(count),
        _int(1, 1_000_000),
        _int(262144, 2**30),
        _int(50, 600_000),
        _int(50, 600_000),
        name,
    ],
    "events": [seq, _bodies],
    "ack": [count],
    "ping": [count],
    "pong": [count],
    "refuse": [_text(1, 32, r"[a-z][a-z_]*"), reason, _or_nil(_int(0, 600_000))],
    "goodbye": [reason],
}
MAY_SAY_MORE = ("hello", "welcome")


def well_formed(body: bytes) -> bool | None:
    """Whether a peer must take ``body``. None: section 13 leaves it open, as a later version may have given a meaning
    to an element that the first version did not have."""
    message = _unpack(body)
    if type(message) is not list or not message or type(message[0]) is not str or message[0] not in FIELDS:
        return False
    tag, fields = message[0], FIELDS[message[0]]
    given, more = message[1 : len(fields) + 1], message[len(fields) + 1 :]
    if len(given) < len(fields) or (more and tag not in MAY_SAY_MORE) or (tag != "events" and len(body) > SMALL):
        return False
    if not all(check(value) for check, value in zip(fields, given, strict=True)):
        return False
    if tag == "welcome" and message[6] >= message[7]:
        return False
    if tag == "events" and message[1] + len(message[2]) - 1 > SEQ_MAX:
        return False
    if not all(_plain(value, 0) for value in more):
        return False
    return None if more and tag == "hello" else True


def _unpack(body: bytes) -> Any:
    """The one value in ``body``, or Ext when there is none, or anything after it.

    Text that is no UTF-8 comes with surrogates in it: where a field is unknown, nobody looks at its letters.
    """
    try:
        return msgpack.unpackb(
            body,
            unicode_errors="surrogateescape",
            strict_map_key=False,
            object_pairs_hook=Map,
            ext_hook=lambda *_: Ext(),
            timestamp=0,
        )
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError, OverflowError):
        return Ext()


def _plain(value: Any, levels: int) -> bool:
    """Whether ``value``, inside ``levels`` arrays and maps, has no ext and nests at most four deep."""
    if isinstance(value, Ext | msgpack.Timestamp):
        return False
    if isinstance(value, Map):
        return levels < NESTED_MAX and all(_plain(part, levels + 1) for pair in value for part in pair)
    if isinstance(value, list):
        return levels < NESTED_MAX and all(_plain(part, levels + 1) for part in value)
    return True
