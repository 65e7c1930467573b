"""A relay that is stopped past its lease, while another takes over, and then goes on: nothing it does counts.

Where the signal strikes is left to chance: between two transactions, in one, before or after its COMMIT, or in a send.
The lease is short here; test_full_scale.py has the lease of production, and half a minute.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.contract.lanes import set_lanes
from tests.contract.receiving import STREAM, inbox
from tests.contract.relay_process import QUICK, RelayProcess
from tests.contract.sending import expire_lease, leader, stage
from tests.contract.stores import Store, event, events, keys_in_order
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from ticketflow.delivery import LeaseLost
from ticketflow.delivery.lanes_barrier import KIND
from ticketflow.delivery.resume import Forking, Resume
from ticketflow.feed import FeedServer, Hello, Limits, Peer, Position
from ticketflow.runtime.errors import Unavailable

# A relay that is stopped within a transaction holds the lease's row until the server ends it, which takes 10 s.
TAKEOVER_S = 30.0
KEYS = "abcdef"


class Witness:
    """A receiver that remembers under whose token the watermark moved."""

    def __init__(self, store: Store) -> None:
        self.moves: list[tuple[str, int]] = []  # stream, fence
        self._inbox = inbox(store)
        self._at: dict[str, int] = {}

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        return await self._inbox.hello(hello, peer)

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        watermark = await self._inbox.apply(hello, first_seq, bodies)
        if watermark > self._at.get(hello.stream, 0):
            self._at[hello.stream] = watermark
            self.moves.append((hello.stream, hello.fence))
        return watermark


async def token_of(store: Store) -> int:
    rows = await store.rows("SELECT MAX(token) FROM delivery_lease WHERE name LIKE %s", f"relay:{STREAM}%")
    return int(rows[0][0] or 0)


async def test_who_lost_the_lease_can_do_nothing_to_the_stream(store: Store) -> None:
    old = await leader(store, "old")
    await stage(store, *events("a", 3))
    await old.stamp()
    await old.mark_acked(2)
    await stage(store, event("a"))
    await expire_lease(store)
    new = await leader(store, "new")
    seen = await new.state()
    for deed in (
        old.state,
        old.forks,
        old.stamp,
        lambda: old.mark_acked(3),
        lambda: old.resume(Resume(1, rewound_from=2)),
        lambda: old.fork(Forking(3, seen.epoch, 9), seen),
    ):
        with pytest.raises(LeaseLost):
            await deed()
    assert await new.state() == seen
    assert await new.forks() == []
    assert await store.seqs(STREAM) == [1, 2, 3, None]


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_relay_that_slept_past_its_lease_does_nothing_that_counts(
    ends: tuple[Store, Store], seed: int, lanes: int, tmp_path: Path
) -> None:
    await sleep_past_the_lease(ends, tmp_path, random.Random(seed), ttl_s=0.8, pause_s=3.0, lanes=lanes)


async def sleep_past_the_lease(
    ends: tuple[Store, Store], folder: Path, rng: random.Random, *, ttl_s: float, pause_s: float, lanes: int
) -> None:
    sending, receiving = ends
    witness = Witness(receiving)
    server = FeedServer(witness, host="127.0.0.1", port=free_port(), limits=Limits(linger_s=0.1))
    await server.start()
    await set_lanes(sending, lanes)
    committed: dict[str, list[str]] = {}
    resting = asyncio.Event()

    async def write() -> None:
        n = 0
        while not resting.is_set():
            n += 1
            keys = rng.sample(KEYS, 3)
            try:
                await stage(sending, *[event(key, f"{key}-{n}") for key in keys])
            except Unavailable:  # did not happen: a machine that stands still ends what is idle within a transaction
                continue
            for key in keys:
                committed.setdefault(key, []).append(f"{key}-{n}")
            await asyncio.sleep(rng.random() * 0.02)

    async def arrived(more: int) -> bool:
        return len(await receiving.effects()) >= more

    try:
        with processes() as started:
            sleeper = RelayProcess(sending, server.port, "sleeper", folder, ttl_s=ttl_s, limits=QUICK)
            started.append(sleeper)
            writing = asyncio.create_task(write())
            try:
                await wait_until(lambda: arrived(20))
                started.append(RelayProcess(sending, server.port, "other", folder, ttl_s=ttl_s, limits=QUICK))
                await asyncio.sleep(rng.random() * 0.5)
                sleeper.freeze()
                frozen_at = time.monotonic()
                there, token = len(await receiving.effects()), await token_of(sending)
                await wait_until(lambda: taken_over(sending, token), TAKEOVER_S)
                await wait_until(lambda: arrived(there + 20), TAKEOVER_S)
                await asyncio.sleep(max(0.0, frozen_at + pause_s - time.monotonic()))
                sleeper.thaw()
                await wait_until(lambda: sleeper.said("lease_lost") > 0)
                await wait_until(lambda: arrived(there + 60), TAKEOVER_S)
            finally:
                resting.set()
                await writing
            count = sum(map(len, committed.values()))
            await wait_until(lambda: arrived(count), TAKEOVER_S)
            await wait_until(lambda: all_acknowledged(sending), TAKEOVER_S)
    finally:
        await server.drain(2)

    assert keys_in_order(await receiving.effects()) == committed
    for stream in {stream for stream, _ in witness.moves}:
        fences = [fence for of, fence in witness.moves if of == stream]
        assert fences == sorted(fences), f"{stream}: a watermark was moved under a token that was over"
        sql = "SELECT seq FROM delivery_outbox WHERE stream = %s AND seq IS NOT NULL ORDER BY seq"
        seqs = [row[0] for row in await sending.rows(sql, stream)]
        assert seqs == list(range(1, len(seqs) + 1))
    staged = await sending.rows("SELECT COUNT(*) FROM delivery_outbox WHERE kind <> %s", KIND)
    assert staged == [(count,)]


async def taken_over(store: Store, token: int) -> bool:
    return await token_of(store) > token


async def all_acknowledged(store: Store) -> bool:
    unstamped = await store.rows("SELECT COUNT(*) FROM delivery_outbox WHERE seq IS NULL")
    behind = await store.rows("SELECT stream FROM delivery_stream WHERE acked_seq < last_seq")
    return unstamped == [(0,)] and not behind


@contextmanager
def processes() -> Any:
    """A list; what is in it at the end is killed."""
    started: list[RelayProcess] = []
    try:
        yield started
    finally:
        for one in started:
            one.kill()
