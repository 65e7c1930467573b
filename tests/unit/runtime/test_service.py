"""The life of a process, as its supervisor sees it: signals in, exit code and last words out."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE, Process

import pytest

from ticketflow.runtime.service import Exit, Service

PROGRAM = """
import asyncio, sys
from ticketflow.runtime import service
from ticketflow.runtime.errors import SettingsError

def say(*words):
    print(*words, flush=True)

async def forever():
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say("task cancelled")
        raise

async def build(s):
    async def first(): say("drain first", s.health.draining)
    async def second(): say("drain second")
    async def hangs(): say("hanging"); await asyncio.sleep(60)
    async def fails(): raise ZeroDivisionError("hook")
    async def dies(): raise ZeroDivisionError("task")
    async def ends(): pass
    what = sys.argv[1]
    if what == "settings": raise SettingsError(["X_PORT is not set", "X_KEY is not set"])
    if what == "broken": raise ZeroDivisionError("build")
    if what == "slow": say("ready"); await asyncio.sleep(60)
    s.on_drain(first, 1)
    s.run_task("forever", forever)
    s.on_drain(second, 1)
    if what == "hangs": s.on_drain(hangs, 0.2)
    if what == "stuck": s.on_drain(hangs, 60)
    if what == "fails": s.on_drain(fails, 1)
    if what == "dies": s.run_task("dies", dies)
    if what == "ends": s.run_task("ends", ends)
    say("ready")

sys.exit(service.run(build, name="test", instance="test-1", drain_deadline_s=20))
"""


async def start(what: str) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, what, stdout=PIPE, stderr=PIPE)


async def ready(process: Process) -> Process:
    assert process.stdout is not None
    async with asyncio.timeout(10):
        while (line := await process.stdout.readline()) and b"ready" not in line:
            pass
    return process


async def ended(process: Process) -> tuple[int, str, str]:
    async with asyncio.timeout(15):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_undoes_hooks_and_tasks_in_reverse_order(number: signal.Signals) -> None:
    process = await ready(await start("well"))
    process.send_signal(number)
    code, out, err = await ended(process)
    assert (code, err) == (Exit.DRAINED, "")
    spoken = [line for line in out.splitlines() if line.startswith(("drain ", "task "))]
    assert spoken == ["drain second", "task cancelled", "drain first True"]


@pytest.mark.parametrize("what", ["hangs", "fails"])
async def test_a_hook_that_hangs_or_fails_does_not_stop_the_others(what: str) -> None:
    process = await ready(await start(what))
    process.terminate()
    code, out, _err = await ended(process)
    assert code == Exit.DRAINED
    assert "drain first True" in out


async def test_a_second_signal_cuts_the_drain_short() -> None:
    process = await ready(await start("stuck"))
    process.terminate()
    assert process.stdout is not None
    while b"hanging" not in await process.stdout.readline():
        pass
    process.terminate()
    code, _out, _err = await ended(process)
    assert code == Exit.ABORTED


@pytest.mark.parametrize("what", ["dies", "ends"])
async def test_a_side_task_that_ends_by_itself_ends_the_service(what: str) -> None:
    code, out, _err = await ended(await start(what))
    assert code == Exit.FAILED
    assert "drain first True" in out


async def test_a_start_that_fails_is_a_failure() -> None:
    code, out, _err = await ended(await start("broken"))
    assert code == Exit.FAILED
    assert "start_failed" in out


async def test_a_signal_while_starting_is_obeyed() -> None:
    process = await ready(await start("slow"))
    process.terminate()
    code, _out, _err = await ended(process)
    assert code == Exit.DRAINED


async def test_settings_that_make_no_sense_are_said_in_plain_lines() -> None:
    code, _out, err = await ended(await start("settings"))
    assert code == Exit.SETTINGS
    assert err == "test: X_PORT is not set\ntest: X_KEY is not set\n"


async def test_draining_has_one_deadline_in_all() -> None:
    service = Service("test", "test-1")
    started = asyncio.get_running_loop().time()
    for _ in range(3):
        service.on_drain(lambda: asyncio.sleep(60), deadline_s=60)
    await service.drain(0.2)
    assert asyncio.get_running_loop().time() - started < 2
