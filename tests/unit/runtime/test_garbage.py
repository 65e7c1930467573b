"""What a service has when it starts is never looked through again, and what is young is looked through seldom."""

import subprocess
import sys

PROGRAM = """
import asyncio, gc, sys
from ticketflow.runtime import service

kept = [[] for _ in range(1000)]

async def build(s):
    async def tell():
        while not gc.get_freeze_count():
            await asyncio.sleep(0)
        print(gc.get_freeze_count() > 1000, gc.get_threshold()[0] >= 10_000, gc.isenabled(), flush=True)
        s.stop()
        await asyncio.Event().wait()
    s.run_task("tell", tell)

sys.exit(service.run(build, name="test", instance="test-1"))
"""


def test_a_service_that_has_started_looks_for_garbage_seldom_and_only_in_what_is_new() -> None:
    told = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=20, check=True)
    assert "True True True" in told.stdout.splitlines()
