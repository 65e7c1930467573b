"""One JSON object a line, with what ties lines together."""

import io
import logging
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import structlog

from ticketflow.runtime import correlation, log


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What a configured process wrote, decoded; everything is put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", written)
        log.configure("billing", "billing-1", "info")
    yield lambda: [msgspec.json.decode(line) for line in written.getvalue().splitlines()]
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_names_process_action_and_correlation(lines: Any) -> None:
    with correlation.bind_correlation("c-1", "00-" + "1" * 32 + "-" + "2" * 16 + "-01"):
        log.get_logger("api").info("hold_placed", hold_id="h", odd={1, 2}.__class__)
    (line,) = lines()
    assert list(line)[:5] == ["ts", "level", "service", "instance", "action"]
    assert line["ts"].endswith("Z")
    assert {key: line[key] for key in ("level", "service", "instance", "action", "correlation_id", "hold_id")} == {
        "level": "info",
        "service": "billing",
        "instance": "billing-1",
        "action": "hold_placed",
        "correlation_id": "c-1",
        "hold_id": "h",
    }
    assert line["odd"] == "<class 'set'>"


def test_lines_below_the_level_are_dropped(lines: Any) -> None:
    log.get_logger("api").debug("noise")
    assert lines() == []


def test_an_exception_has_its_traceback_in_the_same_line(lines: Any) -> None:
    try:
        raise ZeroDivisionError("by zero\nreally")
    except ZeroDivisionError:
        log.get_logger("api").exception("failed")
    (line,) = lines()
    assert line["level"] == "error"
    assert line["error"] == "ZeroDivisionError: by zero\nreally"
    assert "test_logs.py" in line["traceback"]


def test_libraries_write_the_same_lines(lines: Any) -> None:
    logging.getLogger("some_library").warning("lost %s", "it")
    logging.getLogger("some_library").info("chatter")
    (line,) = lines()
    assert (line["action"], line["level"], line["message"]) == ("library", "warning", "lost it")


def test_a_level_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="loud"):
        log.configure("s", "i", "loud")


def test_correlation_is_bound_inside_and_new_outside() -> None:
    with correlation.bind_correlation("outer") as outer:
        assert correlation.current_correlation() is outer
        with correlation.bind_correlation("inner"):
            assert correlation.current_correlation().id == "inner"
        assert correlation.current_correlation().id == "outer"
    assert correlation.bound_correlation() is None
    assert correlation.current_correlation().id != correlation.current_correlation().id


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        ("", False),
        (None, False),
    ],
)
def test_a_traceparent_is_taken_only_when_it_is_one(text: str | None, good: bool) -> None:
    assert correlation.acceptable_traceparent(text) == (text if good else None)


def test_a_new_traceparent_is_acceptable() -> None:
    made = correlation.new_traceparent()
    assert correlation.acceptable_traceparent(made) == made
