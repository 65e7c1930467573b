"""Fixtures for every test, each in the module of tests/support that it belongs to; and who runs what in parallel."""

from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["tests.support.servers", "tests.support.ring", "tests.support.authority"]

# Hypothesis would fail an example for taking 200 ms, or examples for being made slowly: on two cores under four workers
# that tells of the machine. What hangs is ended by pytest's own time-out.
settings.register_profile("machine-independent", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("machine-independent")

RING_TESTS = ("tests/integration/ring/", "tests/integration/stack/test_stack.py")


@pytest.fixture(autouse=True)
def logs_stay_as_they_are() -> Iterator[None]:
    """A program's own logging is for its own process: where a test sets it up in ours, later tests see no line."""
    yield
    assert not structlog.get_config()["cache_logger_on_first_use"], "run it in a process of its own"


class RingInOneWorker(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Tests go to any worker, one by one; those that share the ring to one, and first: a second ring would cost more
    than it saves. (xdist's own groups are lost on pytest 9.2, whose node ids they rewrite.)"""

    def _split_scope(self, nodeid: str) -> str:
        return "ring" if nodeid.startswith(RING_TESTS) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> RingInOneWorker:
    return RingInOneWorker(config, log)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests want to be read even when they pass: their property `told`."""
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(str(value))
