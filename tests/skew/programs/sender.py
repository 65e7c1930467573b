"""A replica of a sender under load: stages without pause, relays when it has the lease. SIGTERM: stops, and exits 0.

python -m programs.sender URL STREAM ADDRESSES [quiet] NAME    quiet: it stages nothing
"""

import asyncio
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from ticketflow.delivery import Outbox, Relay
from ticketflow.events import HoldReleased, envelope_for, kinds
from ticketflow.feed import VERSION, parse_addresses
from ticketflow.runtime import log
from ticketflow.runtime.errors import Indefinite, Unavailable

from .store import Store, opened, until_stopped

KEYS = 5
BATCH = 4
PAUSE_S = 0.02  # about 200 events a second and replica: load for two cores that four processes and two servers share
Extended: Any = getattr(kinds, "HoldExtended", None)  # None in a release that does not know it


async def produce(store: Store, outbox: Outbox[Any], name: str) -> None:
    """Events of keys of our own, in order within each: `<name>-<key>`, numbered."""
    number = 0
    while True:
        events = []
        for number in range(number + 1, number + 1 + BATCH):  # noqa: B020 - it goes on where it was
            key = f"{name}-{number % KEYS}"
            payload = HoldReleased(hold_id=f"{key}:{number}")
            if Extended is not None and number % 10 == 0:
                payload = Extended(hold_id=f"{key}:{number}", until_us=number)
            events.append(envelope_for(payload, key=key, correlation_id=name))
        with suppress(Unavailable, Indefinite):  # then it is in the outbox, or not: the outbox is what is compared
            async with store.pool.transaction() as conn:
                await outbox.stage(conn, events)
            outbox.notify()
        await asyncio.sleep(PAUSE_S)


async def main(url: str, stream: str, addresses: str, *more: str) -> None:
    *quiet, name = more
    log.configure("skew", name)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with opened(url) as store:
        outbox = Outbox(store.dialect, stream)
        relay = Relay(store.pool, store.dialect, stream=stream, addresses=parse_addresses(addresses), owner=name)
        outbox.wakes(relay.wake)
        tasks: list[asyncio.Task[None]] = [asyncio.create_task(relay.run())]
        if not quiet:
            tasks.append(asyncio.create_task(produce(store, outbox, f"{name}.{time.time_ns()}")))
        print("ready", VERSION, flush=True)
        await until_stopped(*tasks, stop=stop)
        for task in reversed(tasks):
            task.cancel()
            await asyncio.wait([task])


asyncio.run(main(*sys.argv[1:]))
