"""A receiver that stalls: what it costs its sender is memory, and of that no more than the window and one read.

It acknowledges nothing here; in test_full_scale.py it reads nothing, for a minute. What it costs the buyers is in
tests/integration/reservation/test_back_pressure.py.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.contract.receiving import inbox
from tests.contract.relay_process import RelayProcess
from tests.contract.sending import STREAM, stage
from tests.contract.stores import Store, event
from tests.support.ports import free_port
from tests.support.proxies import Proxy
from tests.support.waiting import wait_until
from ticketflow.events import Envelope
from ticketflow.feed import FeedServer, Limits

STALL_S = 8.0  # beyond the idle time-out of 6 s: a session ends meanwhile, and another is tried
EVENT_CHARS = 16_000
EVENTS = 6_000  # 96 MB
# One read of the outbox is 256 events, 4 MiB; the window 2 MiB; each a few times over, in the drivers and in frames.
# A sender that went on reading would hold the 96 MB.
GROWTH_BYTES_MAX = 48 * 1024 * 1024
WINDOW_EVENTS_MAX = 2 * 1024 * 1024 // EVENT_CHARS + 1


@pytest.mark.parametrize("ends", ["postgres->mariadb"], indirect=True)
async def test_a_stalled_receiver_costs_its_sender_bounded_memory(ends: tuple[Store, Store], tmp_path: Path) -> None:
    await stalled(ends, "it acknowledges nothing", tmp_path, STALL_S)


async def stalled(ends: tuple[Store, Store], stall: str, folder: Path, stall_s: float) -> tuple[int, int]:
    """How many bytes the sender held before, and at most during the stall."""
    sending, receiving = ends
    flows = asyncio.Event()
    flows.set()

    async def effect(conn: Any, envelope: Envelope) -> None:
        await flows.wait()
        await receiving.run(conn, "INSERT INTO effects (event_key, note) VALUES (%s, '')", envelope.key)

    server = FeedServer(
        inbox(receiving, effect, patience_s=120), host="127.0.0.1", port=free_port(), limits=Limits(batch_events_max=64)
    )
    await server.start()
    proxy = Proxy(server.port)
    proxy.start()
    sender = RelayProcess(sending, proxy.port, "sender", folder, ttl_s=3.0)
    try:
        await stage(sending, *[event("warm", "x" * EVENT_CHARS) for _ in range(500)])
        await wait_until(lambda: done(receiving, 500))
        before = sender.rss_bytes
        if stall == "it reads nothing":
            proxy.freeze()
        else:
            flows.clear()
        for _ in range(EVENTS // 500):
            await stage(sending, *[event("a", "x" * EVENT_CHARS) for _ in range(500)])
        highest, until = before, time.monotonic() + stall_s
        while time.monotonic() < until:
            highest = max(highest, sender.rss_bytes)
            await asyncio.sleep(0.05)
        assert highest - before < GROWTH_BYTES_MAX, f"{(highest - before) / 2**20:.0f} MiB more than before the stall"
        stamped = await sending.rows("SELECT last_seq - acked_seq FROM delivery_stream WHERE stream = %s", STREAM)
        assert stamped[0][0] <= 2 * 1024 + WINDOW_EVENTS_MAX, "it stamps no more than it can send soon"
        proxy.thaw()
        flows.set()
        await wait_until(lambda: done(receiving, 500 + EVENTS), timeout_s=60)
        return before, highest
    finally:
        flows.set()
        sender.kill()
        proxy.thaw()
        proxy.kill()
        await server.drain(2)


async def done(store: Store, count: int) -> bool:
    return bool((await store.rows("SELECT COUNT(*) FROM effects"))[0][0] >= count)
