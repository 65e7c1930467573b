"""Random walks through the ledger on a real MariaDB, against a model of a few lines: money is conserved, entries sum to
nothing, no wallet is ever below nothing, and a repeat changes nothing."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.ledger import causes
from billing.ledger.causes import Purchase, VerifiedWebhook
from billing.ledger.entries import Entry, InsufficientCredits, LedgerConflict
from billing.refunds.split import NOTHING, Parts, split
from billing.settings import DatabaseSettings
from tests.integration.billing.books import STRIPE, Books, a_purchase
from ticketflow.events import new_id

AMOUNTS = st.integers(1, 1000)
BUYERS = st.integers(0, 1)
# What may happen: to which buyer, to which of the buyer's payments, and how much.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["topup", "freeze", "freeze", "unfreeze", "capture", "capture", "refund", "fee", "repeat"]),
        BUYERS,
        st.integers(0, 3),
        AMOUNTS,
    ),
    min_size=4,
    max_size=14,
)


@dataclass
class Payment:
    payment_id: str
    sale: Purchase
    credits_minor: int
    state: str = "frozen"
    paid: Parts = NOTHING
    refunded: Parts = NOTHING


@dataclass
class Model:
    """What should be."""

    buyers: list[str]
    wallets: Counter[str] = field(default_factory=Counter)
    payments: dict[str, list[Payment]] = field(default_factory=dict)
    clearing_minor: int = 0
    fees_minor: int = 0
    written: list[Entry] = field(default_factory=list)

    def frozen(self, buyer: str) -> int:
        return sum(p.credits_minor for p in self.payments.get(buyer, []) if p.state == "frozen")

    def sold(self) -> int:
        return sum(p.paid.total_minor for ps in self.payments.values() for p in ps)

    def refunded(self) -> int:
        return sum(p.refunded.total_minor for ps in self.payments.values() for p in ps)


async def step(books: Books, model: Model, what: str, buyer: str, number: int, amount: int) -> None:
    payments = model.payments.setdefault(buyer, [])
    payment = payments[number % len(payments)] if payments else None
    if what == "topup":
        await wrote(books, model, causes.topup(new_id(), buyer, amount, "EUR", VerifiedWebhook(new_id(), STRIPE)))
        model.wallets[buyer] += amount
        model.clearing_minor += amount
    elif what == "freeze":
        begun = Payment(new_id(), a_purchase(buyer), amount)
        entry = causes.freeze(begun.sale, begun.payment_id, amount)
        if amount > model.wallets[buyer]:
            await refused(books, entry)
        else:
            await wrote(books, model, entry)
            model.wallets[buyer] -= amount
            payments.append(begun)
    elif what == "fee":
        await wrote(books, model, causes.fee(STRIPE, new_id(), amount, "EUR"))
        model.clearing_minor -= amount
        model.fees_minor += amount
    elif what == "repeat" and model.written:
        assert await books.record(model.written[(number * 7 + amount) % len(model.written)]) == 0
    elif payment is not None and what == "unfreeze":
        entry = causes.unfreeze(payment.sale, payment.payment_id, payment.credits_minor)
        if payment.state == "frozen":
            await wrote(books, model, entry)
            payment.state = "dropped"
            model.wallets[buyer] += payment.credits_minor
        elif payment.state == "captured":
            await refused(books, entry)
    elif payment is not None and what == "capture":
        card = amount if number % 2 else 0
        entry = causes.capture(
            payment.sale, payment.payment_id, STRIPE, card_minor=card, credits_minor=payment.credits_minor
        )
        if payment.state == "frozen":
            await wrote(books, model, entry)
            payment.state, payment.paid = "captured", Parts(card, payment.credits_minor)
            model.clearing_minor += card
        elif payment.state == "dropped":
            await refused(books, entry)
    elif payment is not None and what == "refund" and payment.state == "captured":
        left = payment.paid.total_minor - payment.refunded.total_minor
        if left:
            await give_back(books, model, payment, min(amount, left))


async def give_back(books: Books, model: Model, payment: Payment, amount: int) -> None:
    refund_id, parts = new_id(), split(amount, payment.paid, payment.refunded)
    entries = [causes.refund(payment.sale, refund_id, STRIPE, parts.card_minor)] if parts.card_minor else []
    if parts.credits_minor:
        entries.append(causes.refund_credits(payment.sale, refund_id, parts.credits_minor))
    await wrote(books, model, *entries)
    payment.refunded += parts
    model.clearing_minor -= parts.card_minor
    model.wallets[payment.sale.buyer_id] += parts.credits_minor


async def wrote(books: Books, model: Model, *entries: Entry) -> None:
    assert await books.record(*entries) == len(entries)
    model.written += entries


async def refused(books: Books, entry: Entry) -> None:
    try:
        await books.record(entry)
    except (InsufficientCredits, LedgerConflict):
        return
    raise AssertionError(f"{entry} was written")


async def walk(settings_: DatabaseSettings, steps: list[tuple[str, int, int, int]]) -> None:
    async with Books.opened(settings_) as books:
        before = await sums(books)
        model = Model([f"buyer-{new_id()}", f"buyer-{new_id()}"])
        for what, who, number, amount in steps:
            await step(books, model, what, model.buyers[who], number, amount)
        for buyer in model.buyers:
            assert await books.has(buyer) == (model.wallets[buyer], model.frozen(buyer))
            assert model.wallets[buyer] >= 0
        after = await sums(books)
        assert sum(after.values()) == 0
        after.subtract(before)
        assert {kind: after[kind] for kind in ("wallet", "frozen", "clearing", "fees", "sales", "refunds")} == {
            "wallet": -sum(model.wallets.values()),
            "frozen": -sum(map(model.frozen, model.buyers)),
            "clearing": model.clearing_minor,
            "fees": model.fees_minor,
            "sales": -model.sold(),
            "refunds": model.refunded(),
        }
        assert await books.faults() == []


async def sums(books: Books) -> Counter[str]:
    rows = await books.rows(
        "SELECT SUBSTRING_INDEX(account, ':', 1) AS kind, CAST(SUM(balance_minor) AS SIGNED) AS sum"
        " FROM ledger_balances GROUP BY 1"
    )
    return Counter({row["kind"]: row["sum"] for row in rows})


def test_no_walk_makes_or_loses_money(billing_schema: DatabaseSettings) -> None:
    @settings(max_examples=30, database=None, print_blob=True)
    @given(STEPS)
    def walked(steps: list[tuple[str, int, int, int]]) -> None:
        asyncio.run(walk(billing_schema, steps))

    walked()
