"""What a batch asks of the database: the same few questions, however many events it has."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from portal.applier import Applier
from portal.mailing import Mailing
from tests.support.databases import Database
from tests.unit.portal.events import NOON_US, SaleEvents
from ticketflow.delivery import Outbox, PostgresDialect
from ticketflow.events import Envelope, encode
from ticketflow.runtime.amqp import Delivery
from ticketflow.runtime.postgres import PostgresPool

STREAM = "billing"


class Watched:
    """An applier, mails included, whose only connection tells what it is asked."""

    def __init__(self, pool: PostgresPool) -> None:
        mailing = Mailing(lambda: NOON_US + 60_000_000)
        self._applier = Applier(pool, STREAM, Outbox(PostgresDialect(), "portal"), mailing=mailing)
        self._seq = 0
        self._asked: list[str] = []

    def hear(self, query: Any) -> None:
        self._asked.append(" ".join(query.query.split()))

    async def asked(self, *events: Envelope, epoch: int = 3) -> list[str]:
        """The first words of each question that a batch of ``events`` costs."""
        deliveries = []
        for event in events:
            self._seq += 1
            headers = {"stream": STREAM, "epoch": epoch, "seq": self._seq}
            deliveries.append(Delivery(self._seq, event.kind, headers, encode(event), redelivered=False))
        self._asked.clear()
        await self._applier.apply(deliveries)
        await asyncio.sleep(0)  # asyncpg tells in the next turn of the loop
        return [" ".join(question.split()[:3]) for question in self._asked]


@pytest.fixture
async def watched(migrated: Database) -> AsyncIterator[Watched]:
    pool = PostgresPool(migrated.dsn, name="watched", size_max=1)
    await pool.open()
    watched = Watched(pool)
    async with pool.acquire() as conn:
        conn.add_query_logger(watched.hear)
    # A stream's first batch finds no position, and asyncpg asks for each type once.
    for event in SaleEvents().sold():
        await watched.asked(event)
    yield watched
    await pool.close()


async def test_a_batch_of_new_sales_costs_four_round_trips(watched: Watched) -> None:
    for count in (1, 8, 50):
        asked = await watched.asked(*[SaleEvents(f"buyer-{n}").pending() for n in range(count)])
        assert asked == ["BEGIN", "WITH place AS", "WITH made AS", "COMMIT"]


async def test_so_does_one_of_known_sales_and_new_ones_with_tickets_and_commands(watched: Watched) -> None:
    sales = [SaleEvents(f"buyer-{n}") for n in range(4)]
    events = [sale.sold() for sale in sales]
    await watched.asked(*[each[0] for each in events])

    asked = await watched.asked(*[event for each in events for event in each[1:3]], SaleEvents().pending())

    assert asked == ["BEGIN", "WITH place AS", "WITH written AS", "COMMIT"]


async def test_an_end_that_is_worth_a_mail_costs_one_more_to_look_at_the_sale(watched: Watched) -> None:
    [*before, confirmed] = SaleEvents().sold()
    await watched.asked(*before)

    assert await watched.asked(confirmed) == [
        "BEGIN",
        "WITH place AS",
        "SELECT order_id, tickets,",
        "WITH written AS",
        "COMMIT",
    ]


async def test_a_batch_of_another_epoch_costs_one_more_to_find_that_out(watched: Watched) -> None:
    asked = await watched.asked(SaleEvents().pending(), epoch=4)
    assert asked[:3] == ["BEGIN", "WITH place AS", "WITH place AS"]


async def test_one_with_an_event_that_is_known_costs_two_more_to_look_whether_it_was_lost(watched: Watched) -> None:
    pending = SaleEvents().pending()
    await watched.asked(pending)

    asked = await watched.asked(pending, SaleEvents().pending())

    assert asked == [
        "BEGIN",
        "WITH place AS",
        "WITH made AS",
        "WITH returned AS",
        "INSERT INTO portal_stream",
        "COMMIT",
    ]
