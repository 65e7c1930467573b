"""One receiver of two dies, freezes or leaves, and so does one sender of two: how long until events flow again.

The limits are those of production, and so is TLS. Times are from the fault to the next event that was applied.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from tests.contract.receiving import STREAM, inbox
from tests.contract.sending import stage
from tests.contract.stores import Store, event
from tests.support.authority import Authority
from tests.support.proxies import Proxy
from tests.support.waiting import wait_until
from ticketflow.delivery import Relay
from ticketflow.delivery.relay import LEASE_TTL_S
from ticketflow.feed import Address, FeedServer, client_context, server_context
from ticketflow.runtime.errors import Indefinite, Unavailable

Ends = tuple[Store, Store]
REFUSED_S, FROZEN_S = 1.5, 6.9  # frozen: the idle time-out of 6 s, and the next address
SLACK_S = 1.0  # of a machine under load


class Receivers:
    """Two replicas of the receiving service over one store, each behind a proxy of its own."""

    def __init__(self, store: Store, authority: Authority) -> None:
        self.sender_tls = client_context(*authority("ours", "reservation"))
        self.servers = [
            FeedServer(
                inbox(store, patience_s=2),
                host="127.0.0.1",
                port=0,
                ssl=server_context(*authority("ours", "billing")),
                expected_errors=(OSError, TimeoutError, Unavailable, Indefinite),
            )
            for _ in range(2)
        ]
        self.proxies: list[Proxy] = []

    @property
    def addresses(self) -> list[Address]:
        return [Address("127.0.0.1", proxy.port) for proxy in self.proxies]

    def serving(self) -> int:
        """Which of the two has the stream's session."""
        [number] = [number for number, server in enumerate(self.servers) if STREAM in server.streams]
        return number


@pytest.fixture
async def receivers(ends: Ends, authority: Authority) -> AsyncIterator[Receivers]:
    both = Receivers(ends[1], authority)
    for server in both.servers:
        await server.start()
        both.proxies.append(Proxy(server.port))
    try:
        for proxy in both.proxies:
            proxy.start()
        yield both
    finally:
        for proxy in both.proxies:
            proxy.kill()
        for server in both.servers:
            await server.drain(1)


@asynccontextmanager
async def relaying(ends: Ends, receivers: Receivers, owner: str = "one") -> AsyncIterator["asyncio.Task[Any]"]:
    relay: Relay[Any] = Relay(
        ends[0].pool,
        ends[0].dialect,
        stream=STREAM,
        addresses=receivers.addresses,
        owner=owner,
        ssl=receivers.sender_tls,
    )
    running = asyncio.create_task(relay.run())
    try:
        yield running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


numbers: Iterator[int] = count(1)


async def arrives(ends: Ends) -> float:
    """Stages an event; how many seconds until it has been applied."""
    note = f"event-{next(numbers)}"
    began = time.monotonic()
    await stage(ends[0], event("a", note))

    async def applied() -> bool:
        return note in [text for _key, text in await ends[1].effects()]

    await wait_until(applied)
    return time.monotonic() - began


async def test_a_receiver_that_is_killed_costs_a_moment(ends: Ends, receivers: Receivers) -> None:
    async with relaying(ends, receivers):
        await arrives(ends)
        receivers.proxies[receivers.serving()].kill()
        took_s = await arrives(ends)
    print(f"receiver killed: {took_s:.3f} s")
    assert took_s < REFUSED_S + SLACK_S


async def test_a_receiver_that_leaves_costs_less(ends: Ends, receivers: Receivers) -> None:
    async with relaying(ends, receivers):
        await arrives(ends)
        await receivers.servers[receivers.serving()].drain(1)
        took_s = await arrives(ends)
    print(f"receiver stopped: {took_s:.3f} s")
    assert took_s < REFUSED_S + SLACK_S


async def test_a_receiver_that_freezes_costs_the_idle_time_out(ends: Ends, receivers: Receivers) -> None:
    async with relaying(ends, receivers):
        await arrives(ends)
        frozen = receivers.proxies[receivers.serving()]
        frozen.freeze()
        took_s = await arrives(ends)
        print(f"receiver frozen: {took_s:.3f} s")
        assert took_s < FROZEN_S + SLACK_S
        frozen.thaw()
        assert await arrives(ends) < REFUSED_S + SLACK_S, "the frozen one comes back as an older session"


async def test_a_sender_that_begins_while_a_receiver_is_frozen_finds_the_other(
    ends: Ends, receivers: Receivers
) -> None:
    receivers.proxies[0].freeze()
    async with relaying(ends, receivers):
        took_s = await arrives(ends)
    receivers.proxies[0].thaw()
    print(f"first address frozen: {took_s:.3f} s")
    assert took_s < FROZEN_S + SLACK_S


async def test_a_sender_that_is_killed_is_followed_by_the_other_replica(ends: Ends, receivers: Receivers) -> None:
    async with relaying(ends, receivers, "one") as first:
        await arrives(ends)
        async with relaying(ends, receivers, "two"):
            await asyncio.sleep(0.5)  # it has asked for the lease, and was refused
            await die(first, ends[0])
            took_s = await arrives(ends)
    print(f"sender killed: {took_s:.3f} s")
    assert took_s < LEASE_TTL_S + 1 + SLACK_S


async def test_a_sender_that_comes_back_under_its_name_goes_on_at_once(ends: Ends, receivers: Receivers) -> None:
    async with relaying(ends, receivers, "one") as first:
        await arrives(ends)
        await die(first, ends[0])
    async with relaying(ends, receivers, "one"):
        took_s = await arrives(ends)
    print(f"sender restarted: {took_s:.3f} s")
    assert took_s < REFUSED_S + SLACK_S


async def test_a_sender_that_is_stopped_hands_over_at_once(ends: Ends, receivers: Receivers) -> None:
    async with relaying(ends, receivers, "one") as first:
        await arrives(ends)
        async with relaying(ends, receivers, "two"):
            await asyncio.sleep(0.5)
            first.cancel()
            took_s = await arrives(ends)
    print(f"sender stopped: {took_s:.3f} s")
    assert took_s < REFUSED_S + SLACK_S


async def die(relay: "asyncio.Task[Any]", store: Store) -> None:
    """As a killed process: the lease is not let go. (Its release meets a store that is away.)"""
    release = store.dialect.release_lease

    async def no_release(*_args: Any) -> bool:
        raise Unavailable("dead")

    store.dialect.release_lease = no_release  # type: ignore[method-assign,assignment]
    relay.cancel()
    await asyncio.gather(relay, return_exceptions=True)
    store.dialect.release_lease = release  # type: ignore[method-assign]
