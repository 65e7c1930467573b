"""The product's own log lines, taken into the trace, each under the process that wrote it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from tests.simulation.loop import current_process

# What only a bug of ours can make the product say.
NEVER = frozenset({"feed_session_crashed", "feed_apply_failed", "feed_hello_failed"})

Told = Callable[[str, str, str, str], None]  # who, level, action, the whole line


@contextmanager
def captured(told: Told, *, all_levels: bool) -> Iterator[None]:
    """``told`` gets every line, or only errors: the others cost time, and change nothing."""

    listening = True  # loggers that the product keeps outlive the configuration

    def tell(_logger: Any, level: str, event: Any) -> Any:
        if not listening:
            raise structlog.DropEvent
        action = event.pop("event")
        event.pop("component", None)
        event.pop("exc_info", None)
        try:
            who = current_process().name
        except LookupError:
            who = "?"
        facts = " ".join(f"{name}={value}" for name, value in event.items())
        told(who, level, action, f"{action} {facts}".rstrip())
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[tell],
        wrapper_class=structlog.make_filtering_bound_logger(0 if all_levels else 40),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        listening = False
        structlog.configure(**before)
