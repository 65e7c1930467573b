"""Each kind of fault is planted behind the ledger's back, and found with its figures; a sound ledger has none."""

import asyncio

import pytest

from audit import ledger as audited
from audit.ledger import CHECKS, EventTotal, LedgerFault, Total
from audit.ledger_repair import rebuild_balance
from billing.ledger import causes
from tests.integration.billing.books import STRIPE, Books, a_purchase
from ticketflow.events import new_id
from ticketflow.runtime.mariadb import execute

EVENT, OTHER = new_id(), new_id()


async def plant(books: Books, cause: str, cause_id: str, lines: dict[str, int], event_id: str | None = None) -> int:
    """An entry as no code of ours would write it."""

    async def write(conn: object) -> int:
        await execute(
            conn,  # type: ignore[arg-type]
            "INSERT INTO ledger_entries (cause, cause_id, currency, event_id, note) VALUES (%s, %s, 'EUR', %s, 'n')",
            (cause, cause_id, event_id),
        )
        for number, (account, amount_minor) in enumerate(lines.items()):
            await execute(
                conn,  # type: ignore[arg-type]
                "INSERT INTO ledger_postings VALUES (LAST_INSERT_ID(), %s, %s, %s)",
                (number, account, amount_minor),
            )
        return 0

    await books.do(write)
    entry_id = (await books.rows("SELECT MAX(entry_id) AS last FROM ledger_entries"))[0]["last"]
    return int(entry_id)


async def found(books: Books, kind: str) -> list[LedgerFault]:
    async with books.pool.acquire() as conn:
        return await audited.faults_of(conn, kind)


async def a_sound_day(books: Books) -> None:
    sale, payment_id = a_purchase("anna", EVENT), new_id()
    await books.top_up("anna", 5000)
    await books.freeze(sale, payment_id, 3000)
    await books.spend(sale, payment_id, card_minor=700, credits_minor=3000)
    await books.freeze(a_purchase("anna", OTHER), new_id(), 500)
    await books.record(causes.fee(STRIPE, "f-1", 33, "EUR", event_id=EVENT), causes.refund(sale, "r-1", STRIPE, 200))
    assert await books.faults() == []


@pytest.mark.parametrize("lines", [{"wallet:anna": -5, "clearing:stripe": 4}, {}], ids=["sum", "no lines"])
async def test_an_entry_that_does_not_balance(books: Books, lines: dict[str, int]) -> None:
    await a_sound_day(books)
    entry_id = await plant(books, "fee", "x", lines)
    (fault,) = await found(books, "unbalanced_entry")
    assert (fault.subject, fault.difference_minor) == (str(entry_id), sum(lines.values()))
    assert fault.detail == f"fee x: {len(lines)} lines"


async def test_a_balance_that_is_not_the_sum_of_its_postings(books: Books) -> None:
    await a_sound_day(books)
    await books.do(
        lambda conn: execute(
            conn, "UPDATE ledger_balances SET balance_minor = balance_minor - 7 WHERE account = 'wallet:anna'"
        )
    )
    await books.do(lambda conn: execute(conn, "DELETE FROM ledger_balances WHERE account = 'fees:stripe'"))
    await books.do(lambda conn: execute(conn, "INSERT INTO ledger_balances VALUES ('fees:nobody', 'EUR', 3, 9)"))
    assert await books.faults() == [
        LedgerFault("balance_differs", "fees:nobody", "EUR", 9, "kept 9, posted 0"),
        LedgerFault("balance_differs", "fees:stripe", "EUR", -33, "kept 0, posted 33"),
        LedgerFault("balance_differs", "wallet:anna", "EUR", -7, "kept -1507, posted -1500"),
    ]


async def test_a_buyer_with_less_than_nothing(books: Books) -> None:
    await a_sound_day(books)
    await plant(books, "fee", "x", {"wallet:anna": 1600, "clearing:stripe": -1600})
    assert await found(books, "held_below_zero") == [
        LedgerFault("held_below_zero", "wallet:anna", "EUR", 100, "by its postings")
    ]


async def test_a_payment_that_took_what_others_had_frozen(books: Books) -> None:
    await a_sound_day(books)
    await plant(books, "capture", "x", {"frozen:anna": 400, f"sales:{EVENT}": -400}, EVENT)
    assert await found(books, "frozen_overdrawn") == [LedgerFault("frozen_overdrawn", "frozen:anna", "EUR", 400, "x")]
    assert await found(books, "held_below_zero") == []


async def test_a_sale_in_the_books_of_another_event(books: Books) -> None:
    await a_sound_day(books)
    entry_id = await plant(books, "capture", "x", {"clearing:stripe": 400, f"sales:{OTHER}": -400}, EVENT)
    nowhere = await plant(books, "refund", "y", {f"refunds:{OTHER}": 30, "clearing:stripe": -30})
    assert await found(books, "wrong_event") == [
        LedgerFault("wrong_event", str(entry_id), "EUR", -400, f"sales:{OTHER} in an entry of event {EVENT}"),
        LedgerFault("wrong_event", str(nowhere), "EUR", 30, f"refunds:{OTHER} in an entry of event none"),
    ]


async def test_a_sale_that_a_correction_moved_to_its_event_is_well(books: Books) -> None:
    """Only a correction of that very entry, of its event, and of all of it."""
    await a_sound_day(books)
    entry_id = await plant(books, "capture", "x", {"clearing:stripe": 400, f"sales:{OTHER}": -400}, EVENT)

    async def correct(cause_id: str, minor: int, event_id: str) -> int:
        return await plant(books, "correction", cause_id, {f"sales:{OTHER}": minor, f"sales:{EVENT}": -minor}, event_id)

    stranger = await correct("capture:y", 400, EVENT)
    assert [fault.subject for fault in await found(books, "wrong_event")] == [str(entry_id), str(stranger)]
    await correct("capture:x", 399, EVENT)
    assert [(fault.subject, fault.difference_minor) for fault in await found(books, "wrong_event")] == [
        (str(entry_id), -1),
        (str(stranger), 400),
    ]
    second = await plant(books, "capture", "z", {"clearing:stripe": 400, f"sales:{OTHER}": -400}, EVENT)
    from_elsewhere = await correct("capture:z", 400, OTHER)
    assert [(fault.subject, fault.difference_minor) for fault in await found(books, "wrong_event")][2:] == [
        (str(second), -400),
        (str(from_elsewhere), -400),
    ]
    third = await plant(books, "capture", "w", {"clearing:stripe": 400, f"sales:{OTHER}": -400}, EVENT)
    await correct("capture:w", 400, EVENT)
    assert str(third) not in {fault.subject for fault in await found(books, "wrong_event")}


async def test_totals_by_account_and_by_event(books: Books) -> None:
    await a_sound_day(books)
    await books.top_up("ben", 900, "JPY")
    async with books.pool.acquire() as conn:
        assert await audited.totals(conn) == [
            Total("clearing", "EUR", 5000 + 700 - 33 - 200, 4),
            Total("clearing", "JPY", 900, 1),
            Total("fees", "EUR", 33, 1),
            Total("frozen", "EUR", -500, 3),
            Total("refunds", "EUR", 200, 1),
            Total("sales", "EUR", -3700, 1),
            Total("wallet", "EUR", -1500, 3),
            Total("wallet", "JPY", -900, 1),
        ]
        assert await audited.totals(conn, OTHER) == [Total("frozen", "EUR", -500, 1), Total("wallet", "EUR", 500, 1)]
        assert {(total.event_id, total.currency): total for total in await audited.totals_by_event(conn)} == {
            (None, "EUR"): EventTotal(None, "EUR", 1, 0, 0, 0, 0),
            (None, "JPY"): EventTotal(None, "JPY", 1, 0, 0, 0, 0),
            (EVENT, "EUR"): EventTotal(EVENT, "EUR", 4, 3700, 200, 33, 0),
            (OTHER, "EUR"): EventTotal(OTHER, "EUR", 1, 0, 0, 0, 500),
        }


async def test_a_balance_is_rebuilt_from_its_postings_while_purchases_go_on(books: Books) -> None:
    await a_sound_day(books)
    for statement in (
        "UPDATE ledger_balances SET balance_minor = balance_minor - 7 WHERE account = 'wallet:anna'",
        "DELETE FROM ledger_balances WHERE account = 'clearing:stripe'",
        "INSERT INTO ledger_balances VALUES ('fees:nobody', 'EUR', 3, 9)",
    ):
        await books.do(lambda conn, statement=statement: execute(conn, statement))  # type: ignore[misc]
    broken = {fault.subject: fault.difference_minor for fault in await books.faults()}
    assert broken.keys() == {"wallet:anna", "clearing:stripe", "fees:nobody"}

    async def rebuild(account: str) -> int:
        return await books.do(lambda conn: rebuild_balance(conn, account, "EUR"))

    async def buy() -> None:
        for _ in range(5):
            await books.top_up("anna", 100)

    mended = await asyncio.gather(*(rebuild(account) for account in broken for _ in range(3)), buy(), buy())
    added = [mended[first : first + 3] for first in (0, 3, 6)]
    assert [sorted(thrice, key=abs) for thrice in added] == [[0, 0, -broken[account]] for account in broken]  # type: ignore[arg-type]
    assert await books.faults() == []
    assert await books.has("anna") == (1500 + 1000, 500)


def test_every_kind_of_fault_is_planted_here() -> None:
    planted = {"unbalanced_entry", "balance_differs", "held_below_zero", "frozen_overdrawn", "wrong_event"}
    assert planted == CHECKS.keys()
