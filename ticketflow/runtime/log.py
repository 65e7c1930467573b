"""Logs: one JSON object a line on stderr, with a stable ``action`` first in every call.

``log.info("hold_placed", hold_id=...)`` gives ``{"action": "hold_placed", "hold_id": ..., "ts": ..., "level": ...}``.
Lines of the standard library's loggers (asyncio, aiohttp) take the same shape with the action ``library``.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from ticketflow.runtime.correlation import (
    Correlation,
    bind_correlation,
    bound_correlation,
    current_correlation,
)

__all__ = ["Correlation", "bind_correlation", "configure", "current_correlation", "get_logger"]

LEVELS = ("debug", "info", "warning", "error", "critical")
TRACEBACK_CHARS_MAX = 16_384  # a RecursionError's traceback would be megabytes

_Event = MutableMapping[str, Any]


def configure(service: str, instance: str, level: str = "info") -> None:
    """Sets up both structlog and the standard library's logging for this process. Raises ValueError on the level."""
    if level.lower() not in LEVELS:
        raise ValueError(f"log level {level!r} is none of {', '.join(LEVELS)}")
    threshold = getattr(logging, level.upper())

    def add_process(_logger: Any, _method: str, event: _Event) -> _Event:
        event["service"] = service
        event["instance"] = instance
        return event

    chain = [_add_time_and_level, add_process, _add_correlation, _name_action, _add_exception]
    structlog.configure(
        processors=[*chain, _to_json],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LibraryFormatter(add_process))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(True)


def get_logger(name: str) -> Any:
    """A logger whose lines carry ``component: name``; the first argument of each call is the stable action."""
    return structlog.get_logger(component=name)


def _add_time_and_level(_logger: Any, method: str, event: _Event) -> _Event:
    event["ts"] = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    event["level"] = "error" if method == "exception" else method
    return event


def _add_correlation(_logger: Any, _method: str, event: _Event) -> _Event:
    correlation = bound_correlation()
    if correlation is not None:
        event.setdefault("correlation_id", correlation.id)
        if correlation.traceparent is not None:
            event.setdefault("traceparent", correlation.traceparent)
    return event


def _name_action(_logger: Any, _method: str, event: _Event) -> _Event:
    event["action"] = event.pop("event")
    return event


def _add_exception(_logger: Any, method: str, event: _Event) -> _Event:
    given = event.pop("exc_info", method == "exception")
    if isinstance(given, BaseException):
        error: BaseException | None = given
    elif isinstance(given, tuple):
        error = given[1]
    else:
        error = sys.exc_info()[1] if given else None
    if error is not None:
        event["error"] = f"{type(error).__name__}: {error}"
        event["traceback"] = "".join(traceback.format_exception(error))[-TRACEBACK_CHARS_MAX:]
    return event


def _to_json(_logger: Any, _method: str, event: _Event) -> str:
    """The first keys of every line are the same; a value that is no JSON is written as its repr."""
    head = {key: event[key] for key in ("ts", "level", "service", "instance", "action") if key in event}
    return msgspec.json.encode({**head, **event}, enc_hook=repr).decode()


class _LibraryFormatter(logging.Formatter):
    def __init__(self, add_process: Any) -> None:
        super().__init__()
        self._add_process = add_process

    def format(self, record: logging.LogRecord) -> str:
        event: _Event = {"event": "library", "component": record.name, "message": record.getMessage()}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        for step in (_add_time_and_level, self._add_process, _add_correlation, _name_action, _add_exception):
            event = step(None, record.levelname.lower(), event)
        return _to_json(None, "", event)
