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

# What shares servers of its own that are dear to start: each group goes to one worker, and before all others.
GROUPS = {
    "ring": (
        "tests/integration/ring/",
        "tests/integration/stack/test_stack.py",
        "tests/integration/drills/test_a_drill.py",
    ),
    "audit": ("tests/integration/audit/",),
    "amqp-tls": ("tests/integration/runtime/test_amqp_tls.py",),
}


@pytest.fixture(autouse=True)
def logs_stay_as_they_are() -> Iterator[None]:
    """A program's own logging is for its own process: where a test sets it up in ours, later tests see no line."""
    yield
    assert not structlog.get_config()["cache_logger_on_first_use"], "run it in a process of its own"


def group_of(nodeid: str) -> str:
    """Which tests go to one worker; most are alone."""
    return next((name for name, paths in GROUPS.items() if nodeid.startswith(paths)), nodeid)


class GroupsInOneWorker(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Tests go to any worker, one by one; those that share the ring to one, and first: a second ring would cost more
    than it saves. So do the other groups. (xdist's own are lost on pytest 9.2, whose node ids they rewrite.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that needs the ring and is not of its group would have another one started: 40 s, and the memory."""
    ours = [item.nodeid for item in items if "ring" in getattr(item, "fixturenames", ())]
    strays = [nodeid for nodeid in ours if group_of(nodeid) != "ring"]
    if strays:
        raise pytest.UsageError(f"GROUPS in tests/conftest.py lacks tests of the ring: {', '.join(strays)}")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupsInOneWorker:
    return GroupsInOneWorker(config, log)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What tests want to be read even when they pass: their property `told`."""
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(str(value))
