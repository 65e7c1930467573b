"""The ids that tie log lines, responses and events of one request together, carried by contextvars."""

import re
from contextlib import AbstractContextManager
from contextvars import ContextVar
from os import urandom
from typing import NamedTuple

from ticketflow.events.ids import new_id

_CORRELATION_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# W3C Trace Context, version 00: version-traceid-parentid-flags; all-zero ids are invalid there.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Correlation(NamedTuple):
    """``id``: 1 to 64 characters of [A-Za-z0-9._-]; ``traceparent``: as in W3C Trace Context, version 00."""

    id: str
    traceparent: str | None


_current: ContextVar[Correlation | None] = ContextVar("correlation", default=None)


def acceptable_correlation_id(text: str | None) -> str | None:
    """``text`` if it may serve as a correlation id, else None: it ends up in logs and headers."""
    return text if text is not None and _CORRELATION_ID.fullmatch(text) else None


def acceptable_traceparent(text: str | None) -> str | None:
    """``text`` if it is a traceparent of version 00, else None."""
    return text if text is not None and _TRACEPARENT.fullmatch(text) else None


def new_traceparent() -> str:
    """The root of a new trace, marked as sampled."""
    ids = urandom(24).hex()
    return f"00-{ids[:32]}-{ids[32:]}-01"


def current_correlation() -> Correlation:
    """What is bound here; outside any ``bind_correlation`` a new one each time."""
    return _current.get() or Correlation(new_id(), None)


def bound_correlation() -> Correlation | None:
    """What is bound here, or None."""
    return _current.get()


class _Bound:
    """A context manager of its own: contextlib's costs each request a generator."""

    __slots__ = ("_correlation", "_token")

    def __init__(self, correlation: Correlation) -> None:
        self._correlation = correlation

    def __enter__(self) -> Correlation:
        self._token = _current.set(self._correlation)
        return self._correlation

    def __exit__(self, *_error: object) -> None:
        _current.reset(self._token)


def bind_correlation(correlation_id: str, traceparent: str | None = None) -> AbstractContextManager[Correlation]:
    """Everything inside, tasks started inside included, logs and stages events under these ids."""
    return _Bound(Correlation(correlation_id, traceparent))
