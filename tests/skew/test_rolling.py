"""Releases one apart, in both directions, and a rolling restart in either order, under load: nothing is lost.

Known kinds: every event that was staged had its effect, once, in the order of its key, whoever sent and whoever read
it. A kind that only the next release knows: the same, if the receivers are replaced before the senders; where senders
go first, what an old receiver met is passed over and counted, as it is told to be.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.contract.stores import Store, keys_in_order, open_store
from tests.skew.releases import Release, build
from tests.skew.running import Replica, Side
from tests.support.ports import free_port
from tests.support.waiting import wait_until

STREAM = "orders"
KNOWN, NEW = "hold.released", "hold.extended"
PROGRESS = 100  # effects of a phase: several frames, some batches
PATIENCE_S = 60.0


@pytest.fixture
def releases(tmp_path: Path) -> tuple[Release, Release]:
    return build(tmp_path)


class Field:
    """Two senders, two receivers, a store at each end, and what is in them."""

    def __init__(self, sending: Store, receiving: Store, tmp_path: Path) -> None:
        self.sending, self.receiving = sending, receiving
        ports = [free_port(), free_port()]
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.senders, self.receivers = Side(), Side()
        for n in (1, 2):
            told = (url(sending), STREAM, addresses)
            self.senders.replicas.append(Replica("sender", f"sender-{n}", told, tmp_path / f"sender-{n}.log"))
            told = (url(receiving), STREAM, str(ports[n - 1]))
            self.receivers.replicas.append(Replica("receiver", f"receiver-{n}", told, tmp_path / f"receiver-{n}.log"))

    async def effects(self) -> list[tuple[str, str, str]]:
        """(key, event id, note), in the order in which they were written."""
        rows = await self.receiving.rows("SELECT event_key, event_id, note FROM effects ORDER BY n")
        return [(row[0], str(row[1]), row[2]) for row in rows]

    async def staged(self) -> list[tuple[str, str, str, str]]:
        """(kind, key, event id, hold id), in the order of the stream."""
        sql = "SELECT kind, event_key, event_id, body FROM delivery_outbox ORDER BY seq"
        return [(row[0], row[1], str(row[2]), _hold(row[3])) for row in await self.sending.rows(sql)]

    async def progress(self, like: str) -> None:
        """Waits for effects whose note is ``like`` this, more of them than there are now."""
        sql = "SELECT count(*) FROM effects WHERE note LIKE %s"
        before = (await self.receiving.rows(sql, like))[0][0]

        async def more() -> bool:
            return bool((await self.receiving.rows(sql, like))[0][0] >= before + PROGRESS)

        await wait_until(more, PATIENCE_S, interval_s=0.1)

    async def drained(self) -> None:
        """Waits until everything that is staged has been acknowledged; nobody may stage any more."""

        async def done() -> bool:
            [(last, acked)] = await self.sending.rows("SELECT last_seq, acked_seq FROM delivery_stream")
            [(waiting,)] = await self.sending.rows("SELECT count(*) FROM delivery_outbox WHERE seq IS NULL")
            return bool(last == acked and not waiting)

        await wait_until(done, PATIENCE_S, interval_s=0.1)


def _hold(body: bytes) -> str:
    return str(msgspec.msgpack.decode(bytes(body))["payload"]["hold_id"])


def url(store: Store) -> str:
    database = store.database
    scheme = "postgresql" if store.name == "postgres" else "mysql"
    return f"{scheme}://{database.user}:{database.password}@{database.address}/{database.name}"


@asynccontextmanager
async def a_field(request: pytest.FixtureRequest, ends: str, tmp_path: Path) -> AsyncIterator[Field]:
    sender, receiver = ends.split("->")
    async with (
        open_store(sender, request.getfixturevalue(f"{sender}_database")) as sending,
        open_store(receiver, request.getfixturevalue(f"{receiver}_database")) as receiving,
    ):
        field = Field(sending, receiving, tmp_path)
        try:
            yield field
        finally:
            await field.senders.kill()
            await field.receivers.kill()


ENDS = {"senders first": "postgres->mariadb", "receivers first": "mariadb->postgres"}  # each store in each role, once


@pytest.mark.timeout(300)
@pytest.mark.parametrize("order", ["senders first", "receivers first"])
async def test_a_rolling_upgrade_and_the_way_back_lose_nothing(
    order: str, releases: tuple[Release, Release], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    present, following = releases
    async with a_field(request, ENDS[order], tmp_path) as field:
        first, second = (
            (field.senders, field.receivers) if order == "senders first" else (field.receivers, field.senders)
        )
        await field.receivers.start(present)
        await field.senders.start(present)
        await field.progress("% sent=v1 read=v1 %")

        await first.roll(following)
        await field.progress("% sent=v2 read=v1 %" if order == "senders first" else "% sent=v1 read=v2 %")
        await second.roll(following)
        await field.progress("% sent=v2 read=v2 %")
        await second.roll(present)  # it is taken back
        await field.progress("% sent=v2 read=v1 %" if order == "senders first" else "% sent=v1 read=v2 %")

        for replica in field.senders.replicas:
            await replica.stop()
        await field.senders.start(present)  # somebody has to send what is left
        await field.progress("% sent=v1 %")
        await _stop_staging_and_drain(field, present)
        await check(field, everything=order == "receivers first")


async def _stop_staging_and_drain(field: Field, release: Release) -> None:
    """Sessions end in peace with the senders; what they had staged last is sent by one that stages nothing more."""
    for replica in field.senders.replicas:
        await replica.stop()
    last = field.senders.replicas[0]
    last.arguments = (*last.arguments, "quiet")
    await last.start(release)
    await field.drained()


async def check(field: Field, *, everything: bool) -> None:
    """``everything``: the kind of the next release has had all its effects too."""
    effects, staged = await field.effects(), await field.staged()
    ids = [event_id for _, event_id, _ in effects]
    assert len(ids) == len(set(ids)), "an event had its effect twice"
    had = set(ids)
    expected = [event for event in staged if event[0] == KNOWN or everything or event[2] in had]
    assert len(expected) == len(effects)
    assert {event[2] for event in expected} == had, "an event is lost"
    assert keys_in_order([(key, note.split(" ")[0]) for key, _, note in effects]) == keys_in_order(
        [(key, hold) for _, key, _, hold in expected]
    )
    new: list[Any] = [event for event in staged if event[0] == NEW]
    assert new, "the next release did send its new kind"
    assert all(event[2] in had for event in new) == everything
    assert await field.receiving.parked() == []
