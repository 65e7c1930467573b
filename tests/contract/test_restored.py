"""An older copy of a whole database is really restored, with the servers' own tools, under a real feed."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stack.servers.postgres import PostgresServer
from tests.contract.delivering import Delivery, delivery
from tests.contract.receiving import STREAM
from tests.contract.sending import stage
from tests.contract.stores import Store, connected, events
from tests.support.backups import back_up_mariadb, back_up_postgres, restore_mariadb, restore_postgres
from tests.support.commands import module
from tests.support.proxies import Proxy
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.delivery import HoleCheck
from ticketflow.delivery.history import StreamHistory

pytestmark = pytest.mark.timeout(300)
HEALED_S = 60.0  # on a busy machine

Ends = tuple[Store, Store]
Restore = Callable[[Store, Path], Awaitable[None]]


@pytest.fixture
def restore(postgres_server: RunningServer[PostgresServer]) -> Restore:
    """Brings an older copy of a store back. Its connections break; both ends find that out by themselves."""

    async def restore(store: Store, copy: Path) -> None:
        if store.name == "postgres":
            await asyncio.to_thread(restore_postgres, store.database, copy, postgres_server.server.dsn())
        else:
            await asyncio.to_thread(restore_mariadb, store.database, copy)

    return restore


async def copy_of(store: Store, folder: Path) -> Path:
    back_up = back_up_postgres if store.name == "postgres" else back_up_mariadb
    return await asyncio.to_thread(back_up, store.database, folder)


async def ids(store: Store, sql: str) -> list[str]:
    return sorted(str(row[0]) for row in await store.rows(sql))


async def settled(both: Delivery) -> bool:
    """Both ends stand at the same place of the same epoch, and nothing waits."""
    [(epoch, last_seq, acked_seq, waiting)] = await both.sending.rows(
        "SELECT epoch, last_seq, acked_seq, (SELECT count(*) FROM delivery_outbox WHERE seq IS NULL)"
        " FROM delivery_stream"
    )
    assert (last_seq, waiting) == (acked_seq, 0)
    assert await both.receiving.rows("SELECT epoch, watermark FROM delivery_inbox_stream") == [(epoch, last_seq)]
    return True


async def nothing_lost_or_doubled(both: Delivery) -> None:
    """Each event that the sender has had its effect once; each effect beyond those is listed as a phantom."""
    sent = await ids(both.sending, "SELECT event_id FROM delivery_outbox")
    effects = await ids(both.receiving, "SELECT event_id FROM effects")
    phantoms = await ids(both.receiving, "SELECT event_id FROM delivery_phantom WHERE resolved_at IS NULL")
    assert len(set(effects)) == len(effects)
    assert sorted({*sent, *phantoms}) == effects
    assert not set(sent) & set(phantoms)
    for store in (both.sending, both.receiving):
        check: HoleCheck[Any] = HoleCheck(store.pool, store.dialect)
        while await check.run_once():
            pass
        assert await store.rows("SELECT first_seq FROM delivery_hole") == []


async def test_a_sender_restored_to_an_older_state(ends: Ends, restore: Restore, tmp_path: Path) -> None:
    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 30))
        await wait_until(lambda: settled(both), HEALED_S)
        await stage(both.sending, *events("b", 20))  # in part copied without their seq, and received
        copy = await copy_of(both.sending, tmp_path)
        await wait_until(lambda: settled(both), HEALED_S)
        await stage(both.sending, *events("c", 25))
        await wait_until(lambda: settled(both), HEALED_S)

        await both.stop_sender()
        await restore(both.sending, copy)
        await stage(both.sending, *events("d", 40))
        both.start_sender()

        await wait_until(lambda: settled(both), HEALED_S)
        await nothing_lost_or_doubled(both)
        lost = await both.receiving.rows("SELECT event_key, count(*) FROM delivery_phantom GROUP BY event_key")
        assert dict(lost)["c"] == 25
        assert len(await both.sending.rows("SELECT epoch FROM delivery_fork")) == 1


@asynccontextmanager
async def through(proxy: Proxy, store: Store) -> AsyncIterator[Store]:
    """The same store by way of ``proxy``."""
    _, pool, dialect = connected(store.name, replace(store.database, port=proxy.port))
    proxy.start()
    await pool.open()
    try:
        yield replace(store, pool=pool, dialect=dialect)
    finally:
        await pool.close()
        proxy.kill()


async def test_a_sender_restored_under_its_live_relay(ends: Ends, restore: Restore, tmp_path: Path) -> None:
    """As when an old replica is promoted: the store is away for a moment, and then behind."""
    sending, receiving = ends
    proxy = Proxy(sending.database.port)
    async with through(proxy, sending) as proxied, delivery((proxied, receiving)) as both:
        await stage(sending, *events("a", 30))
        await wait_until(lambda: settled(both), HEALED_S)
        copy = await copy_of(sending, tmp_path)
        await stage(sending, *events("b", 10))
        await wait_until(lambda: settled(both), HEALED_S)

        proxy.kill()
        await restore(sending, copy)
        await wait_until(lambda: staged(sending, "c", 15))
        proxy.start()

        await wait_until(lambda: has_forked(both), HEALED_S)
        await wait_until(lambda: settled(both), HEALED_S)
        await nothing_lost_or_doubled(both)


async def staged(store: Store, key: str, count: int) -> bool:
    """The pool's connections were cut: the first attempts may fail."""
    await stage(store, *events(key, count))
    return True


async def has_forked(both: Delivery) -> bool:
    return bool(await both.sending.rows("SELECT epoch FROM delivery_fork"))


async def test_a_receiver_restored_to_an_older_state(ends: Ends, restore: Restore, tmp_path: Path) -> None:
    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 30))
        await wait_until(lambda: settled(both), HEALED_S)
        copy = await copy_of(both.receiving, tmp_path)
        await stage(both.sending, *events("b", 50))
        await wait_until(lambda: settled(both), HEALED_S)

        await restore(both.receiving, copy)
        await stage(both.sending, *events("c", 5))

        await wait_until(lambda: settled(both), HEALED_S)
        await nothing_lost_or_doubled(both)
        assert len(await both.receiving.effects()) == 85
        assert not await has_forked(both)


async def test_both_restored_one_after_the_other_and_twice(ends: Ends, restore: Restore, tmp_path: Path) -> None:
    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 10))
        await wait_until(lambda: settled(both), HEALED_S)
        old_receiver = await copy_of(both.receiving, tmp_path)
        await stage(both.sending, *events("b", 10))
        await wait_until(lambda: settled(both), HEALED_S)
        old_sender = await copy_of(both.sending, tmp_path)
        await stage(both.sending, *events("c", 10))
        await wait_until(lambda: settled(both), HEALED_S)
        for key in ("d", "e"):  # the second time it is restored to before its own fork
            await both.stop_sender()
            await restore(both.sending, old_sender)
            await stage(both.sending, *events(key, 10))
            both.start_sender()
            await wait_until(lambda: settled(both), HEALED_S)
            await nothing_lost_or_doubled(both)
        await both.stop_receiver()
        await restore(both.receiving, old_receiver)  # it knows nothing of either fork
        await both.start_receiver()
        await wait_until(lambda: settled(both), HEALED_S)
        await nothing_lost_or_doubled(both)


async def test_the_audit_shows_it_until_it_is_resolved(ends: Ends, restore: Restore, tmp_path: Path) -> None:
    postgres, mariadb = sorted(
        (store.database for store in ends), key=lambda database: database.port not in _ports(ends)
    )
    environment = {
        "AUDIT_RESERVATION_DSN": postgres.dsn,
        "AUDIT_PORTAL_DSN": postgres.dsn,
        "AUDIT_BILLING_HOSTS": mariadb.address,
        "AUDIT_BILLING_NAME": mariadb.name,
        "AUDIT_BILLING_USER": mariadb.user,
        "AUDIT_BILLING_PASSWORD": mariadb.password,
    }

    async def said(*arguments: str) -> tuple[int, str]:
        only = () if "resolve" in arguments else ("--only", "streams")
        answer = await module("audit", environment, *only, *arguments)
        return answer.code, answer.out

    async with delivery(ends) as both:
        await stage(both.sending, *events("a", 10))
        await wait_until(lambda: settled(both), HEALED_S)
        assert (await said())[0] == 0
        copy = await copy_of(both.sending, tmp_path)
        await stage(both.sending, *events("b", 5))
        await wait_until(lambda: settled(both), HEALED_S)
        await both.stop_sender()
        await restore(both.sending, copy)
        code, text = await said()
        assert code == 1
        assert "parted" in text  # nobody has said HELLO yet
        both.start_sender()
        await wait_until(lambda: has_forked(both), HEALED_S)
        await wait_until(lambda: settled(both), HEALED_S)
        code, text = await said()
        assert code == 1
        assert f"fork {STREAM} (out)" in text
        assert f"phantom {STREAM} (in)" in text
        assert "seqs 11..15, 5 events" in text
        code, text = await said("--json")
        assert (code, json.loads(text.splitlines()[-1])["unresolved"]) == (1, True)
        assert (await said("resolve", "phantom", STREAM, "--note", "orders were cancelled"))[0] == 0
        assert (await said())[0] == 1
        assert (await said("resolve", "fork", STREAM, "--note", "restored by hand"))[0] == 0
        assert (await said())[0] == 0
        assert (await said("resolve", "fork", STREAM, "--note", "again"))[0] == 1
        assert len(await StreamHistory(both.sending.pool, both.sending.dialect).findings(settled=True)) == 1
        for store in ends:
            assert len(await store.rows("SELECT id FROM delivery_audit")) == 1


def _ports(ends: Ends) -> list[int]:
    return [store.database.port for store in ends if store.name == "postgres"]
