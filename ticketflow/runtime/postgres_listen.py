"""LISTEN on a connection of its own, for ever: reconnects, and says so by an empty payload."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg

from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres_driver import Connection, PostgresDriver

BACKOFF_S = (0.05, 2.0)
CHECK_EVERY_S = 5.0  # a peer that vanished would otherwise look like one with nothing to tell

CHECK_TIMEOUT_S = 1.0  # it waits for nothing
LOST = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

log = get_logger("postgres")


async def listen(driver: PostgresDriver, channel: str, callback: Callable[[str], None]) -> None:
    """Never returns. ``callback`` must not raise and must not wait."""
    pause_s = BACKOFF_S[0]
    broken = False
    while True:
        try:
            connection = await driver.connect()
        except Unavailable as fault:
            if not broken:
                log.warning("listen_lost", channel=channel, error=str(fault))
            broken = True
        else:
            try:
                await _listen_on(connection, channel, callback)
            except LOST as error:
                log.info("listen_interrupted", channel=channel, error=str(error))
            else:
                pause_s, broken = BACKOFF_S[0], False
            finally:
                driver.discard(connection)
        await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter, no secret
        pause_s = min(pause_s * 2, BACKOFF_S[1])


async def _listen_on(connection: Connection, channel: str, callback: Callable[[str], None]) -> None:
    """Returns when a connection that worked has been lost; raises when it never worked."""

    def heard(_connection: Any, _pid: int, _channel: str, payload: object) -> None:
        callback(str(payload))

    lost = asyncio.Event()
    connection.add_termination_listener(lambda _connection: lost.set())
    await connection.add_listener(channel, heard)
    log.info("listening", channel=channel)
    callback("")
    with suppress(*LOST):
        while not lost.is_set():
            await connection.execute("SELECT 1", timeout=CHECK_TIMEOUT_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_EVERY_S):
                    await lost.wait()
