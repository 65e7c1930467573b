"""The ledger on a real MariaDB: once for each cause, immutable, and never a wallet below nothing."""

import pymysql.err
import pytest

from billing.ledger import causes
from billing.ledger.accounts import clearing, refunds, wallet
from billing.ledger.causes import VerifiedWebhook
from billing.ledger.entries import InsufficientCredits, LedgerConflict
from billing.store import wallets
from tests.integration.billing.books import STRIPE, Books, a_purchase
from ticketflow.events import new_id
from ticketflow.runtime.mariadb import execute


async def count(books: Books) -> tuple[int, int]:
    rows = await books.rows(
        "SELECT (SELECT COUNT(*) FROM ledger_entries) AS entries, (SELECT COUNT(*) FROM ledger_postings) AS postings"
    )
    return rows[0]["entries"], rows[0]["postings"]


async def test_a_purchase_paid_by_both_and_partly_refunded(books: Books) -> None:
    """The example of docs/money.md, by its numbers."""
    sale, payment_id, refund_id = a_purchase("anna"), new_id(), new_id()
    await books.top_up("anna", 5000)
    assert await books.freeze(sale, payment_id, 3000)
    assert await books.has("anna") == (2000, 3000)
    assert await books.spend(sale, payment_id, card_minor=7000, credits_minor=3000)
    assert await books.has("anna") == (2000, 0)
    await books.record(causes.fee(STRIPE, "txn_1", 233, "EUR", event_id=sale.event_id, order_id=sale.order_id))
    await books.record(causes.refund(sale, refund_id, STRIPE, 7000))
    assert await books.give_back(sale, refund_id, 1000)
    assert await books.has("anna") == (3000, 0)
    rows = await books.rows(
        "SELECT account, CAST(SUM(balance_minor) AS SIGNED) AS sum FROM ledger_balances GROUP BY account"
    )
    assert {row["account"]: row["sum"] for row in rows} == {
        "wallet:anna": -3000,
        "frozen:anna": 0,
        "clearing:stripe": 5000 + 7000 - 233 - 7000,
        "fees:stripe": 233,
        f"sales:{sale.event_id}": -10_000,
        f"refunds:{sale.event_id}": 8000,
    }
    assert await books.faults() == []


async def test_a_cause_that_comes_again_is_written_once(books: Books) -> None:
    sale, payment_id = a_purchase("anna"), new_id()
    await books.top_up("anna", 5000)
    assert [await books.freeze(sale, payment_id, 3000) for _ in range(3)] == [True, False, False]
    assert [await books.spend(sale, payment_id, credits_minor=3000) for _ in range(3)] == [True, False, False]
    assert await books.freeze(sale, payment_id, 3000) is False
    assert await books.has("anna") == (2000, 0)
    assert await count(books) == (3, 6)


async def test_a_repeat_that_says_something_else_is_an_error(books: Books) -> None:
    sale, payment_id = a_purchase("anna"), new_id()
    await books.top_up("anna", 5000)
    await books.freeze(sale, payment_id, 3000)
    for other in (
        causes.freeze(sale, payment_id, 2999),
        causes.freeze(a_purchase("anna"), payment_id, 3000),
        causes.freeze(a_purchase("ben"), payment_id, 3000),
        causes.freeze(a_purchase("anna", currency="USD"), payment_id, 3000),
    ):
        with pytest.raises(LedgerConflict):
            await books.record(other)
    assert await books.has("anna") == (2000, 3000)
    assert await books.faults() == []


async def test_a_topup_is_credited_once_however_many_webhooks_tell_of_it(books: Books) -> None:
    topup_id = new_id()
    told = [VerifiedWebhook(new_id(), STRIPE) for _ in range(3)]
    written = [
        await books.do(lambda conn, by=by: wallets.top_up(conn, topup_id, "anna", 5000, "EUR", by))  # type: ignore[misc]
        for by in told
    ]
    assert written == [True, False, False]
    assert await books.has("anna") == (5000, 0)


async def test_one_webhook_credits_one_topup(books: Books) -> None:
    webhook = VerifiedWebhook(new_id(), STRIPE)
    await books.record(causes.topup(new_id(), "anna", 5000, "EUR", webhook))
    with pytest.raises(LedgerConflict, match="evidence"):
        await books.record(causes.topup(new_id(), "anna", 5000, "EUR", webhook))
    assert await books.has("anna") == (5000, 0)


async def test_nobody_spends_more_than_there_is(books: Books) -> None:
    sale = a_purchase("anna")
    with pytest.raises(InsufficientCredits):
        await books.freeze(sale, new_id(), 1)
    await books.top_up("anna", 5000)
    with pytest.raises(InsufficientCredits) as refused:
        await books.freeze(sale, new_id(), 5001)
    assert refused.value.code == "insufficient_credits"
    assert await books.freeze(sale, new_id(), 5000)
    with pytest.raises(InsufficientCredits):
        await books.freeze(sale, new_id(), 1)
    assert await books.has("anna") == (0, 5000)
    assert await books.faults() == []


async def test_credits_of_one_currency_pay_for_nothing_in_another(books: Books) -> None:
    await books.top_up("anna", 5000, "USD")
    with pytest.raises(InsufficientCredits):
        await books.freeze(a_purchase("anna", currency="EUR"), new_id(), 1)
    assert (await books.has("anna", "USD"), await books.has("anna", "EUR")) == ((5000, 0), (0, 0))


async def test_after_a_refused_freeze_the_transaction_may_go_on(books: Books) -> None:
    """The refusal is written down in it."""
    sale = a_purchase("anna")
    await books.top_up("anna", 100)
    async with books.pool.transaction() as conn:
        with pytest.raises(InsufficientCredits):
            await wallets.freeze(conn, sale, new_id(), 101)
        assert await wallets.freeze(conn, sale, new_id(), 100)
    assert await books.has("anna") == (0, 100)
    assert await books.faults() == []


async def test_a_payment_takes_from_the_frozen_account_what_it_has_put_there_and_once(books: Books) -> None:
    sale, mine, others = a_purchase("anna"), new_id(), new_id()
    await books.top_up("anna", 5000)
    await books.freeze(sale, mine, 2000)
    await books.freeze(sale, others, 2000)
    for wrong in (1999, 2001, 4000):
        with pytest.raises(LedgerConflict):
            await books.spend(sale, mine, credits_minor=wrong)
    with pytest.raises(LedgerConflict):
        await books.unfreeze(sale, new_id(), 2000)
    assert await books.unfreeze(sale, mine, 2000)
    with pytest.raises(LedgerConflict):
        await books.spend(sale, mine, credits_minor=2000)
    assert await books.spend(sale, others, credits_minor=2000)
    with pytest.raises((LedgerConflict, InsufficientCredits)):
        await books.unfreeze(sale, others, 2000)
    assert await books.has("anna") == (3000, 0)
    assert await books.faults() == []


async def test_what_moves_nothing_writes_nothing(books: Books) -> None:
    sale = a_purchase("anna")
    assert not await books.freeze(sale, new_id(), 0)
    assert not await books.spend(sale, new_id())
    assert not await books.give_back(sale, new_id(), 0)
    assert await count(books) == (0, 0)


async def test_a_correction_that_would_leave_a_buyer_with_less_than_nothing_is_refused(books: Books) -> None:
    await books.top_up("anna", 100)
    taking = causes.correction(new_id(), "EUR", [(wallet("anna"), 101), (clearing(STRIPE), -101)], "charged back")
    with pytest.raises(InsufficientCredits):
        await books.record(taking)
    assert await books.has("anna") == (100, 0)


async def test_several_entries_are_written_together_or_not_at_all(books: Books) -> None:
    sale, refund_id = a_purchase("anna"), new_id()
    both = [causes.refund(sale, refund_id, STRIPE, 700), causes.refund_credits(sale, refund_id, 300)]
    assert await books.record(*both) == 2
    assert await books.record(*both) == 0
    with pytest.raises(LedgerConflict):
        await books.record(causes.refund(sale, new_id(), STRIPE, 1), causes.refund_credits(sale, refund_id, 299))
    assert await count(books) == (2, 4)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entries SET note = 'x'",
        "UPDATE ledger_entries SET cause_id = cause_id",
        "DELETE FROM ledger_entries",
        "UPDATE ledger_postings SET amount_minor = amount_minor + 1",
        "DELETE FROM ledger_postings",
        "REPLACE INTO ledger_postings SELECT entry_id, line, account, amount_minor * 2 FROM ledger_postings",
        "INSERT INTO ledger_postings SELECT p.* FROM ledger_postings p ON DUPLICATE KEY UPDATE amount_minor = 5",
    ],
)
async def test_what_is_written_can_neither_be_changed_nor_deleted(books: Books, statement: str) -> None:
    await books.top_up("anna", 5000)
    before = await books.rows("SELECT * FROM ledger_postings JOIN ledger_entries USING (entry_id)")
    with pytest.raises(pymysql.err.MySQLError, match=r"never (changed|deleted)"):
        await books.do(lambda conn: execute(conn, statement))
    assert await books.rows("SELECT * FROM ledger_postings JOIN ledger_entries USING (entry_id)") == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_balances SET balance_minor = 1 WHERE account = 'wallet:anna'",
        "INSERT INTO ledger_balances VALUES ('wallet:ben', 'EUR', 0, 1)",
        "INSERT INTO ledger_balances VALUES ('wallet:anna', 'EUR', 1, -1)",
        "INSERT INTO ledger_balances VALUES ('frozen:ben', 'EUR', 0, 1)",
        "INSERT INTO ledger_entries (cause, cause_id, currency) VALUES ('topup', 't', 'EUR')",
        "INSERT INTO ledger_entries (cause, cause_id, currency) VALUES ('correction', 'c', 'EUR')",
        "INSERT INTO ledger_postings SELECT entry_id, 9, 'fees:stripe', 0 FROM ledger_entries",
    ],
)
async def test_what_cannot_be_is_refused_by_the_table_too(books: Books, statement: str) -> None:
    await books.top_up("anna", 5000)
    with pytest.raises(pymysql.err.MySQLError, match="CONSTRAINT"):
        await books.do(lambda conn: execute(conn, statement))


async def test_a_buyers_statement_page_by_page(books: Books) -> None:
    sale, kept, dropped, refund_id = a_purchase("anna"), new_id(), new_id(), new_id()
    await books.top_up("ben", 77)
    await books.top_up("anna", 900, "USD")
    await books.top_up("anna", 5000)
    await books.freeze(sale, kept, 3000)
    await books.freeze(sale, dropped, 1500)
    await books.unfreeze(sale, dropped, 1500)
    await books.spend(sale, kept, card_minor=50, credits_minor=3000)
    await books.give_back(sale, refund_id, 1000)

    pages, before = [], None
    async with books.pool.acquire() as conn:
        while page := await wallets.statement(conn, "anna", "EUR", before=before, limit=2):
            assert len(page) <= 2
            pages.append(page)
            before = page[-1].entry_id
    told = [
        (
            m.cause,
            m.cause_id,
            m.available_change_minor,
            m.frozen_change_minor,
            m.available_after_minor,
            m.frozen_after_minor,
        )
        for page in pages
        for m in page
    ]
    assert [line[0:1] + line[2:] for line in told] == [
        ("refund_credits", 1000, 0, 3000, 0),
        ("capture", 0, -3000, 2000, 0),
        ("unfreeze", 1500, -1500, 2000, 3000),
        ("freeze", -1500, 1500, 500, 4500),
        ("freeze", -3000, 3000, 2000, 3000),
        ("topup", 5000, 0, 5000, 0),
    ]
    assert [line[1] for line in told][:5] == [refund_id, kept, dropped, dropped, kept]
    assert [len(page) for page in pages] == [2, 2, 2]


async def test_a_buyer_of_whom_nothing_is_known_has_nothing(books: Books) -> None:
    async with books.pool.acquire() as conn:
        assert await wallets.balances(conn, "nobody") == []
        assert await wallets.statement(conn, "nobody", "EUR") == []


async def test_balances_by_currency(books: Books) -> None:
    await books.top_up("anna", 5000)
    await books.top_up("anna", 900, "JPY")
    await books.freeze(a_purchase("anna", currency="JPY"), new_id(), 400)
    async with books.pool.acquire() as conn:
        assert await wallets.balances(conn, "anna") == [
            wallets.Balance("EUR", 5000, 0),
            wallets.Balance("JPY", 500, 400),
        ]


async def test_a_negative_correction_of_a_refund_is_an_entry_of_its_own(books: Books) -> None:
    sale, refund_id = a_purchase("anna"), new_id()
    await books.give_back(sale, refund_id, 1000)
    undone = causes.correction(
        new_id(), "EUR", [(wallet("anna"), 1000), (refunds(sale.event_id), -1000)], "refunded by mistake"
    )
    assert await books.record(undone) == 1
    assert await books.has("anna") == (0, 0)
    assert await count(books) == (2, 4)
