"""The supervisor with real processes, small ones."""

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stack import orphans
from stack.errors import StackError
from stack.places import Places
from stack.programs import Program
from stack.supervision import Supervisor
from tests.support.waiting import wait_until

SLEEPER = "import signal; signal.sigwait([signal.SIGTERM])"


def program(name: str, run: Path, code: str = SLEEPER, **more: str) -> Program:
    return Program(
        name=name,
        command=[sys.executable, "-c", code],
        environment={"PATH": "/usr/bin:/bin", **more},
        directory=run,
        priority=10,
        ports={},
    )


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    places = Places(tmp_path / "run 100%")  # a space and a percent sign: both mean something in its configuration
    places.make_run()
    places.logs.mkdir()
    supervisor = Supervisor(places)
    yield supervisor
    if supervisor.is_up():
        supervisor.stop_programs(supervisor.states())
        supervisor.shutdown()
    orphans.end(places.run)


async def test_a_killed_process_comes_back(supervisor: Supervisor) -> None:
    supervisor.write_config([program("one", supervisor.places.run)])
    supervisor.start()
    supervisor.start_programs(["one"])
    first = await wait_until(lambda: supervisor.states()["one"].state == "RUNNING" and supervisor.pid("one"))
    supervisor.kill("one")
    await wait_until(lambda: supervisor.states()["one"].pid not in (0, first))


async def test_a_process_killed_for_good_stays_down_until_it_is_started(supervisor: Supervisor) -> None:
    supervisor.write_config([program("one", supervisor.places.run)])
    supervisor.start()
    supervisor.start_programs(["one"])
    await wait_until(lambda: supervisor.states()["one"].state == "RUNNING")
    supervisor.kill_and_keep_down("one")
    assert supervisor.states()["one"].state == "STOPPED"
    supervisor.start_programs(["one"])
    await wait_until(lambda: supervisor.states()["one"].state == "RUNNING")


async def test_only_what_changed_is_restarted(supervisor: Supervisor) -> None:
    run = supervisor.places.run
    one, two = program("one", run, VALUE="50%, a=b;#c"), program("two", run)
    supervisor.write_config([one, two])
    supervisor.start()
    supervisor.start_programs(["one", "two"])
    await wait_until(lambda: all(state.state == "RUNNING" for state in supervisor.states().values()))
    kept, changed = supervisor.pid("one"), supervisor.pid("two")

    supervisor.write_config([one, two])
    assert supervisor.reload() == ([], [], [])

    supervisor.write_config([one, replace(two, environment={**two.environment, "VALUE": "new"}), program("three", run)])
    assert supervisor.reload() == (["three"], ["two"], [])
    supervisor.start_programs(["one", "two", "three"])
    await wait_until(lambda: all(state.state == "RUNNING" for state in supervisor.states().values()))
    assert supervisor.pid("one") == kept
    assert supervisor.pid("two") != changed


async def test_the_processes_of_a_killed_supervisor_are_found_and_ended(supervisor: Supervisor) -> None:
    run = supervisor.places.run
    supervisor.write_config([program("one", run)])
    supervisor.start()
    supervisor.start_programs(["one"])
    left = await wait_until(lambda: supervisor.states()["one"].state == "RUNNING" and supervisor.pid("one"))
    os.kill(int((run / "supervisord.pid").read_text()), signal.SIGKILL)
    await wait_until(lambda: not supervisor.is_up())
    assert left in orphans.find(run)
    orphans.end(run)
    assert orphans.find(run) == {}


def test_an_unknown_process_is_named_with_those_that_there_are(supervisor: Supervisor) -> None:
    with pytest.raises(StackError, match="the stack is not running"):
        supervisor.pid("one")
    supervisor.write_config([program("one", supervisor.places.run)])
    supervisor.start()
    with pytest.raises(StackError, match="there is no process `two`; there are: one"):
        supervisor.pid("two")
    with pytest.raises(StackError, match="`one` does not run"):
        supervisor.pid("one")
