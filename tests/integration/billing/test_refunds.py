"""Orders, tickets and parts of their prices given back: what the buyer, the provider, the ledger and the others see."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from billing.settings import DatabaseSettings
from tests.integration.billing.refunding import PRICE_MINOR, Office
from tests.integration.billing.world import Sale, World
from tests.integration.sandbox.process import PROVIDER_KEY, ProviderProcess
from ticketflow.events import OrderRefunded, TicketsVoided, new_id

TOTAL = 2 * PRICE_MINOR


@pytest.fixture
async def office(world: World) -> AsyncIterator[Office]:
    async with Office.opened(world) as opened:
        yield opened


async def tickets_of(sale: Sale) -> list[str]:
    return [ticket["ticket_id"] for ticket in (await sale.order())["tickets"]]


async def test_a_whole_order(world: World, office: Office) -> None:
    sale = await office.paid()
    tickets = await tickets_of(sale)
    asked = await office.refund(sale, seats_back=True)
    assert (asked.status, asked.body["state"], asked.body["amount_minor"]) == (202, "REQUESTED", TOTAL)
    assert asked.body["tickets"] == tickets
    order = await sale.order()
    assert order["state"] == "CONFIRMED"  # the money has not gone back yet, but
    assert all(ticket["voided"] and ticket["voided_at"] for ticket in order["tickets"])
    voided = (await world.staged(sale.hold_id))[-1]
    assert isinstance(voided, TicketsVoided)
    assert (voided.ticket_ids, voided.seats_back, voided.reason) == (tickets, True, "changed plans")
    assert sorted(voided.unit_ids) == sorted(line.unit_id for line in sale.hold.lines)

    await office.settled(sale)
    order = await sale.order()
    assert (order["state"], order["refunded_minor"]) == ("REFUNDED", TOTAL)
    (refund,) = order["refunds"]
    assert (refund["state"], refund["card_minor"], refund["credits_minor"]) == ("REFUNDED", TOTAL, 0)
    assert (refund["reason"], refund["tickets"]) == ("changed plans", tickets)
    assert await office.kept_at_bank(sale) == 0
    done = (await world.staged(sale.hold_id))[-1]
    assert isinstance(done, OrderRefunded)
    assert (done.amount_minor, done.refunded_minor, done.credits_minor, done.complete) == (TOTAL, TOTAL, 0, True)
    assert (await sale.codes())[-4:] == ["refund_requested", "tickets_voided", "refund_paid", "order_refunded"]
    assert all(entry["text"].endswith((".", ")")) for entry in order["history"])
    assert await office.given_back_minor(sale.hold.event_id) == TOTAL
    await office.books_are_sound()


async def test_ticket_by_ticket(world: World, office: Office) -> None:
    sale = await office.paid(seats=3)
    first, second, third = await tickets_of(sale)
    await office.refunded(sale, tickets=[second])
    order = await sale.order()
    assert (order["state"], order["refunded_minor"]) == ("PARTIALLY_REFUNDED", PRICE_MINOR)
    assert [ticket["voided"] for ticket in order["tickets"]] == [False, True, False]
    told = (await world.staged(sale.hold_id))[-1]
    assert isinstance(told, OrderRefunded)
    assert not told.complete
    again = await office.refund(sale, tickets=[first, second])
    assert (again.status, again.code) == (409, "ticket_voided")
    await office.refunded(sale)  # what is left
    order = await sale.order()
    assert (order["state"], [refund["tickets"] for refund in order["refunds"]]) == (
        "REFUNDED",
        [[second], [first, third]],
    )
    assert await office.kept_at_bank(sale) == 0
    nothing = await office.refund(sale)
    assert (nothing.status, nothing.code) == (409, "nothing_left")
    await office.books_are_sound()


async def test_a_fee_is_kept(office: Office) -> None:
    sale = await office.paid()
    too_much = await office.refund(sale, amount_minor=TOTAL + 1)
    assert (too_much.status, too_much.code) == (409, "refund_too_large")
    await office.refunded(sale, amount_minor=TOTAL - 300)
    order = await sale.order()
    assert (order["state"], order["refunded_minor"]) == ("PARTIALLY_REFUNDED", TOTAL - 300)
    assert all(ticket["voided"] for ticket in order["tickets"])
    assert await office.kept_at_bank(sale) == 300
    await office.books_are_sound()


async def test_all_of_it_is_kept(office: Office) -> None:
    """A ticket that dies without money: no entry, no call to the provider, and the buyer sees that nothing came."""
    sale = await office.paid()
    refund = await office.refunded(sale, tickets=(await tickets_of(sale))[:1], amount_minor=0)
    assert (refund["state"], refund["amount_minor"]) == ("REFUNDED", 0)
    assert (await sale.order())["state"] == "PARTIALLY_REFUNDED"
    assert "refund_paid" not in await sale.codes()
    assert await office.kept_at_bank(sale) == TOTAL
    await office.books_are_sound()


async def test_a_free_order(world: World, office: Office) -> None:
    sale = Sale(world, new_id(), 2, 60)
    free = [msgspec.structs.replace(line, price_minor=0) for line in sale.hold.lines]
    sale.hold = msgspec.structs.replace(sale.hold, lines=free, total_minor=0)
    await world.feed(sale.event(sale.hold))
    await office.pay(sale)
    first, _ = await tickets_of(sale)
    await office.refunded(sale, tickets=[first])
    assert (await sale.order())["state"] == "PARTIALLY_REFUNDED"
    await office.refunded(sale)
    assert (await sale.order())["state"] == "REFUNDED"
    told = (await world.staged(sale.hold_id))[-1]
    assert isinstance(told, OrderRefunded)
    assert (told.amount_minor, told.complete) == (0, True)
    assert await world.rows("SELECT 1 FROM ledger_entries") == []
    await office.books_are_sound()


async def test_card_and_credits(office: Office) -> None:
    """The card first, then the wallet; nobody gets more than he paid by either."""
    sale = await office.paid(credits_minor=1500)
    assert await office.wallet_minor() == 0
    first, second = await tickets_of(sale)
    refund = await office.refunded(sale, tickets=[first])
    assert (refund["card_minor"], refund["credits_minor"]) == (PRICE_MINOR, 0)
    refund = await office.refunded(sale, tickets=[second])
    assert (refund["card_minor"], refund["credits_minor"]) == (1000, 1500)
    assert await office.wallet_minor() == 1500
    assert await office.kept_at_bank(sale) == 0
    assert (await sale.order())["state"] == "REFUNDED"
    await office.books_are_sound()


async def test_credits_alone_need_no_provider(world: World, office: Office) -> None:
    sale = await office.paid(credits_minor=TOTAL)
    await world.fault("refund", "error", count=10)
    refund = await office.refunded(sale)
    assert (refund["card_minor"], refund["credits_minor"], refund["attempts"]) == (0, TOTAL, 1)
    assert await office.wallet_minor() == TOTAL
    assert (await sale.order())["state"] == "REFUNDED"
    await office.books_are_sound()


async def test_what_cannot_be_refunded(world: World, office: Office) -> None:
    unpaid, sale = await world.placed(), await office.paid()
    assert (await office.refund(unpaid)).code == "order_not_paid"
    assert (await office.refund(sale, tickets=[new_id()])).code == "ticket_unknown"
    unknown = await office.post(f"/orders/{new_id()}/refunds", {"reason": "x"})
    assert (unknown.status, unknown.code) == (404, "order_unknown")
    for path in (f"/orders/{new_id()}/refunds", f"/refunds/{new_id()}"):
        assert (await office.get(path)).status == 404
    assert (await office.post(f"/refunds/{new_id()}/retry")).code == "refund_unknown"
    for wrong in (
        {},
        {"reason": ""},
        {"reason": "two\nlines"},
        {"reason": "a line's end\n"},
        {"reason": " x"},
        {"reason": "x" * 65},
        {"reason": "x", "amount_minor": -1},
        {"reason": "x", "amount_minor": 1.5},
        {"reason": "x", "tickets": []},
        {"reason": "x", "tickets": ["t"] * 1000},
        {"reason": "x", "unknown": 1},
    ):
        told = await office.post(f"/orders/{sale.hold_id}/refunds", wrong)
        assert (told.status, told.code) == (422, "bad_body"), wrong
    assert await office.of(sale) == []
    done = await office.refunded(sale)
    told = await office.post(f"/refunds/{done['refund_id']}/as-credits")
    assert (told.status, told.code) == (409, "refund_not_refused")


async def test_strangers_refund_nothing(world: World, office: Office) -> None:
    sale = await office.paid()
    for key in ("", "Bearer nonsense"):
        for path in (f"/orders/{sale.hold_id}/refunds", f"/events/{sale.hold.event_id}/cancellation"):
            headers = {"Authorization": key, "Idempotency-Key": "k"}
            async with world.http.post(office.base + path, json={"reason": "x"}, headers=headers) as response:
                assert response.status == 401


async def test_a_repeated_request_is_one_refund(office: Office) -> None:
    sale, key = await office.paid(), new_id()
    first, *_ = await tickets_of(sale)
    told = await asyncio.gather(*(office.refund(sale, key=key, tickets=[first]) for _ in range(4)))
    assert {answer.status for answer in told} == {202}
    assert len({answer.body["refund_id"] for answer in told}) == 1
    await office.settled(sale)
    later = await office.refund(sale, key=key, tickets=[first])
    assert (later.status, later.body) == (202, told[0].body)
    assert later.headers["Idempotency-Replayed"] == "true"
    other = await office.refund(sale, key=key)
    assert (other.status, other.code) == (422, "idempotency_mismatch")
    assert len(await office.of(sale)) == 1


async def test_a_refused_request_keeps_no_key(world: World, office: Office) -> None:
    sale, key = await world.placed(), new_id()
    assert (await office.refund(sale, key=key)).code == "order_not_paid"
    await office.pay(sale)
    assert (await office.refund(sale, key=key)).status == 202


async def test_two_that_want_the_same_tickets_at_once(
    world: World, office: Office, billing_database: DatabaseSettings, provider_ready: ProviderProcess
) -> None:
    async with (
        World.opened(billing_database, provider_ready.url, PROVIDER_KEY) as elsewhere,
        Office.opened(elsewhere) as other,
    ):
        for _ in range(5):
            sale = await office.paid()
            first, second = await tickets_of(sale)
            wishes: list[dict[str, Any]] = [
                {},
                {"tickets": [first]},
                {"tickets": [second, first]},
                {"tickets": [first]},
            ]
            told = await asyncio.gather(
                *(desk.refund(sale, **wish) for desk, wish in zip((office, other) * 2, wishes, strict=True))
            )
            won = [answer for answer in told if answer.status == 202]
            assert len([answer for answer in won if first in answer.body["tickets"]]) == 1
            assert {answer.code for answer in told if answer.status != 202} <= {"ticket_voided", "nothing_left"}
            for _ in range(2):
                await asyncio.gather(office.worker.run_once(), other.worker.run_once())
            await office.settled(sale)
            gone = [ticket for ticket in (await sale.order())["tickets"] if ticket["voided"]]
            assert await office.kept_at_bank(sale) == TOTAL - PRICE_MINOR * len(gone)
        await office.books_are_sound()


async def test_never_more_than_was_paid_whatever_is_asked(world: World, office: Office) -> None:
    """Orders paid in every way; random refunds, retries and faults of the provider."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    sales = [await office.paid(seats=3, credits_minor=share) for share in (0, 1, 3000, 7499, 7500)]
    for _ in range(40):
        sale = rng.choice(sales)
        tickets = await tickets_of(sale)
        wish: dict[str, Any] = {}
        if rng.random() < 0.8:
            wish["tickets"] = rng.sample(tickets, rng.randint(1, 3))
        if rng.random() < 0.5:
            wish["amount_minor"] = rng.randint(0, 4 * PRICE_MINOR)
        if rng.random() < 0.3:
            await world.fault("refund", rng.choice(["error", "drop_after", "rate_limit", "conflict", "error_after"]))
        if rng.random() < 0.1:
            await world.fault("fetch", "error")
        assert (await office.refund(sale, **wish)).status in (202, 409)
        if rng.random() < 0.5:
            await office.worker.run_once()
        for refund in await office.of(sale):
            if refund["state"] == "REFUSED":
                await office.post(f"/refunds/{refund['refund_id']}/{rng.choice(['retry', 'as-credits'])}")
    async with world.bank.delete("/v1/faults") as response:
        assert response.status == 204
    await office.due_now()
    await office.settled(*sales)
    for sale in sales:
        order, refunds = await sale.order(), await office.of(sale)
        by_card = sum(refund["card_minor"] for refund in refunds if refund["state"] == "REFUNDED")
        card_minor = sum(p["amount_minor"] - p["credits_minor"] for p in order["payments"])
        assert await office.kept_at_bank(sale) == card_minor - by_card
        assert order["refunded_minor"] <= order["total_minor"]
        told = [one for one in await world.staged(sale.hold_id) if isinstance(one, OrderRefunded)]
        assert sum(one.amount_minor for one in told) == order["refunded_minor"]
    await office.books_are_sound()
