"""`python -m audit watch` goes round by itself, tells by metrics, and mends nothing."""

import asyncio
import os
import re
import signal
import sys

import aiohttp

from tests.integration.audit.town import Databases, Town
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from ticketflow.events import new_id


async def test_it_tells_of_a_difference_until_it_is_gone(town: Town, databases: Databases) -> None:
    order_id = await town.sold(1)
    port = free_port()
    environment = databases.environment() | {
        "PATH": os.environ["PATH"],
        "AUDIT_HTTP_PORT": str(port),
        "AUDIT_EVERY_S": "0.05",
        "AUDIT_PAGE_PAUSE_S": "0",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "audit", "watch", env=environment, stdout=-3, stderr=-3
    )
    try:
        async with aiohttp.ClientSession() as http:

            async def value(name: str) -> float:
                async with http.get(f"http://127.0.0.1:{port}/metrics") as response:
                    (found,) = re.findall(rf"^{re.escape(name)} (\S+)$", await response.text(), re.MULTILINE)
                return float(found)

            async def rounds(count: int) -> bool:
                return await value('audit_rounds_total{result="complete"}') >= count

            name = 'audit_differences{kind="portal_state_differs"}'
            await wait_until(lambda: rounds(1), timeout_s=60)
            before = await value(name)
            assert await value("audit_last_round_timestamp_seconds") > 0
            await town.show("UPDATE sales SET state = 'PAYING' WHERE order_id = $1", order_id)

            async def stands_at(count: float) -> bool:
                return await value(name) == count

            await wait_until(lambda: stands_at(before + 1), timeout_s=60)
            assert await town.staged("billing") == []
            await town.show("UPDATE sales SET state = 'CONFIRMED' WHERE order_id = $1", order_id)
            await wait_until(lambda: stands_at(before), timeout_s=60)

            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_without_settings_it_says_which_are_missing() -> None:
    environment = {"PATH": os.environ["PATH"], "AUDIT_INSTANCE": new_id()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "audit", "watch", env=environment, stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    assert process.returncode == 2
    assert b"AUDIT_HTTP_PORT" in out + err
    assert b"Traceback" not in out + err
