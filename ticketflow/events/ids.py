"""Identifiers: UUIDv7 (RFC 9562) as lower-case text.

The leading 48 bits are the time, so that ids made one after another lie side by side in an index.
"""

import re

import uuid_utils

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_id() -> str:
    """A new UUIDv7, 36 characters, lower case."""
    return str(uuid_utils.uuid7())


def is_id(text: str) -> bool:
    """Whether ``text`` is a UUIDv7 in the one spelling we use."""
    return _UUID7.fullmatch(text) is not None


def time_of_us(identifier: str) -> int:
    """When an id was made: microseconds since the Unix epoch, to the millisecond."""
    return int(identifier[:8] + identifier[9:13], 16) * 1000
