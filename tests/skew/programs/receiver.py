"""A replica of a receiver: applies each event as a row of `effects`. SIGTERM: drains, and exits 0.

python -m programs.receiver URL STREAM PORT NAME
"""

import asyncio
import signal
import sys
from typing import Any

from ticketflow.delivery import Inbox
from ticketflow.events import Envelope, HoldReleased, kinds, payload_of
from ticketflow.feed import VERSION, FeedServer
from ticketflow.runtime import log

from .store import opened, until_stopped

Extended: Any = getattr(kinds, "HoldExtended", None)


async def main(url: str, stream: str, port: str, name: str) -> None:
    log.configure("skew", name)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with opened(url) as store:

        async def effect(conn: Any, envelope: Envelope) -> None:
            payload: Any = payload_of(envelope)
            by = getattr(payload, "released_by", "-")
            note = f"{payload.hold_id} by={by} sent=v{envelope.version} read=v{payload.version} at={name}"
            await store.effect(conn, envelope.key, envelope.id, note)

        handlers = {HoldReleased.kind: effect}
        if Extended is not None:
            handlers[Extended.kind] = effect
        inbox = Inbox(store.pool, store.dialect, stream=stream, handlers=handlers)
        server = FeedServer(inbox, host="127.0.0.1", port=int(port), name=name)
        await server.start()
        print("ready", VERSION, flush=True)
        await until_stopped(stop=stop)
        await server.drain(5)


asyncio.run(main(*sys.argv[1:]))
