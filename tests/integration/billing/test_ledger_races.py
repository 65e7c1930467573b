"""Many at once on the same money: nobody spends it twice, and nobody waits for each other in a circle."""

import asyncio
import random
from collections import Counter

from billing.ledger import causes
from billing.ledger.causes import VerifiedWebhook
from billing.ledger.entries import InsufficientCredits, LedgerConflict
from billing.store import ledger, wallets
from tests.integration.billing.books import STRIPE, Books, a_purchase
from tests.support.waiting import wait_until
from ticketflow.events import new_id
from ticketflow.runtime.errors import Retryable
from ticketflow.runtime.mariadb import Connection, execute, query


async def test_two_purchases_at_once_cannot_spend_the_same_credit(books: Books) -> None:
    """The second has begun before the first commits, waits for it, and is told that there is too little."""
    await books.top_up("anna", 5000)
    sale = a_purchase("anna")

    async def waits(conn: Connection) -> bool:
        rows = await query(
            conn, "SELECT info FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND info IS NOT NULL"
        )
        return any("UPDATE ledger_balances" in row["info"] for row in rows)

    async with books.pool.transaction() as conn:
        await execute(conn, "SET SESSION idle_transaction_timeout = 60")
        assert await wallets.freeze(conn, sale, new_id(), 3000)
        second = asyncio.create_task(books.freeze(a_purchase("anna"), new_id(), 3000))
        await wait_until(lambda: waits(conn))
    outcome = await asyncio.gather(second, return_exceptions=True)
    assert isinstance(outcome[0], InsufficientCredits)
    assert await books.has("anna") == (2000, 3000)
    assert await books.faults() == []


async def test_of_many_purchases_as_many_succeed_as_there_are_credits(books: Books) -> None:
    await books.top_up("anna", 7 * 600 + 599)
    outcomes = await asyncio.gather(
        *(books.freeze(a_purchase("anna"), new_id(), 600) for _ in range(20)), return_exceptions=True
    )
    assert Counter(map(type, outcomes)) == {bool: 7, InsufficientCredits: 13}
    assert await books.has("anna") == (599, 7 * 600)
    assert await books.faults() == []


async def test_a_cause_that_comes_from_many_sides_at_once_is_written_once(books: Books) -> None:
    """Also when it takes all the buyer has: a repeat is not told that there is too little."""
    await books.top_up("anna", 3000)
    sale, payment_id = a_purchase("anna"), new_id()
    outcomes = await asyncio.gather(*(books.freeze(sale, payment_id, 3000) for _ in range(10)))
    assert sorted(outcomes) == [False] * 9 + [True]
    outcomes = await asyncio.gather(*(books.spend(sale, payment_id, credits_minor=3000) for _ in range(10)))
    assert sorted(outcomes) == [False] * 9 + [True]
    assert await books.has("anna") == (0, 0)


async def test_webhooks_that_tell_of_one_topup_at_once_credit_it_once(books: Books) -> None:
    topup_id = new_id()
    told = [causes.topup(topup_id, "anna", 5000, "EUR", VerifiedWebhook(new_id(), STRIPE)) for _ in range(10)]
    assert sorted(await asyncio.gather(*map(books.record, told))) == [0] * 9 + [1]
    assert await books.has("anna") == (5000, 0)


async def test_a_payment_that_is_spent_and_given_up_at_once_is_one_of_both(books: Books) -> None:
    for _ in range(10):
        sale, payment_id = a_purchase(f"buyer-{new_id()}"), new_id()
        await books.top_up(sale.buyer_id, 3000)
        await books.freeze(sale, payment_id, 2000)
        outcomes = await asyncio.gather(
            books.spend(sale, payment_id, credits_minor=2000),
            books.unfreeze(sale, payment_id, 2000),
            return_exceptions=True,
        )
        assert outcomes.count(True) == 1, outcomes
        assert any(isinstance(outcome, LedgerConflict | InsufficientCredits) for outcome in outcomes)
        assert await books.has(sale.buyer_id) == ((1000, 0) if outcomes[0] is True else (3000, 0))
    assert await books.faults() == []


async def test_entries_over_the_same_accounts_never_lock_each_other_out(books: Books) -> None:
    """Whatever order a caller names them in, and whether or not their rows are there yet. Without a fixed order the
    database would pick victims (1213), here some hundred of them."""
    refused: list[str] = []
    event_id = new_id()
    buyers = ["anna", "ben", "cleo"]
    for buyer in buyers:
        await books.top_up(buyer, 10**6)

    async def one(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(10):
            one, other = (a_purchase(buyer, event_id) for buyer in chance.sample(buyers, 2))
            entries = [
                causes.freeze(one, new_id(), 7),
                causes.freeze(other, new_id(), 7),
                causes.refund(one, new_id(), STRIPE, 5),
                causes.refund_credits(other, new_id(), 5),
                causes.fee(STRIPE, new_id(), 1, "EUR"),
            ]
            chance.shuffle(entries)
            try:
                async with books.pool.transaction() as conn:
                    await ledger.record(conn, entries)
            except Retryable as error:
                refused.append(str(error))

    await asyncio.gather(*(one(seed) for seed in range(10)))
    assert refused == []
    rows = await books.rows("SELECT COUNT(*) AS entries FROM ledger_entries")
    assert rows[0]["entries"] == 3 + 10 * 10 * 5
    assert await books.faults() == []


async def test_entries_of_a_wallet_are_numbered_in_the_order_of_their_balances(books: Books) -> None:
    """So that a statement, read in that order, never shows less than nothing."""
    await books.top_up("anna", 1000)

    async def one() -> None:
        for _ in range(5):
            sale, payment_id = a_purchase("anna"), new_id()
            try:
                await books.freeze(sale, payment_id, 600)
            except InsufficientCredits:
                continue
            await books.unfreeze(sale, payment_id, 600)

    await asyncio.gather(*(one() for _ in range(8)))
    async with books.pool.acquire() as conn:
        page = await wallets.statement(conn, "anna", "EUR", limit=200)
    assert len(page) >= 3
    assert all(m.available_after_minor in (1000, 400) and m.frozen_after_minor in (0, 600) for m in page)
