"""hold.placed, whose bytes are written in two halves, by this process and by the database: they are one event."""

from datetime import datetime
from typing import Any

import asyncpg
import msgpack
import pytest

from reservation.store_placing import Placed, Request
from reservation.wishes import Wish
from tests.integration.reservation.house import Replica, Truth
from tests.support.buyer import Buyer
from ticketflow.events import Envelope, HoldLine, HoldPlaced, decode, envelope_for, new_id, payload_of
from ticketflow.events.envelope import EVENT_BYTES_MAX, encode
from ticketflow.runtime.correlation import bind_correlation

LONG = "🎟" * 120  # the longest name, in 480 bytes
DEAREST = 100_000_000


async def told(truth: Truth, hold_id: str) -> tuple[bytes, str, str, str]:
    """The one row of the outbox: body, id, key, kind."""
    [row] = await truth.conn.fetch(
        "SELECT body, event_id::text, event_key, kind FROM delivery_outbox WHERE event_key = $1", hold_id
    )
    return tuple(row)


def moment_us(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


async def test_it_is_what_the_buyer_was_told(replica: Replica, truth: Truth) -> None:
    event = await replica.shop.event(seats=2, standing=3, name="Käthes »Abend« 🎭", hold_ttl_s=90, grace_s=45)
    headers = {
        "Idempotency-Key": new_id(),
        "X-Correlation-Id": "walk-7",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    wish = Buyer(replica.shop, "ann").wish(event, event.seats, standing=1)
    hold = (await replica.shop.call("POST", "/api/v1/holds", wish, headers=headers)).body
    body, event_id, key, kind = await told(truth, hold["hold_id"])
    placed_at_us = moment_us(hold["placed_at"])
    expected = HoldPlaced(
        hold_id=hold["hold_id"],
        event_id=event.event_id,
        event_name="Käthes »Abend« 🎭",
        buyer_id="ann",
        currency="EUR",
        total_minor=6500,
        lines=[
            HoldLine(unit_id=event.seats[0], tier="seated", label="A-1", price_minor=2500),
            HoldLine(unit_id=event.seats[1], tier="seated", label="A-2", price_minor=2500),
            HoldLine(unit_id=hold["lines"][2]["unit_id"], tier="standing", label="standing", price_minor=1500),
        ],
        placed_at_us=placed_at_us,
        expires_at_us=placed_at_us + 90_000_000,
        grace_s=45,
    )
    envelope = decode(body)
    assert payload_of(envelope) == expected
    assert (
        (envelope.id, envelope.key, envelope.kind)
        == (event_id, key, kind)
        == (event_id, hold["hold_id"], "hold.placed")
    )
    assert (envelope.version, envelope.occurred_at_us, envelope.correlation_id) == (1, placed_at_us, "walk-7")
    assert envelope.traceparent is not None
    assert envelope.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    again = envelope_for(
        expected, key=key, correlation_id="walk-7", traceparent=envelope.traceparent, now_us=placed_at_us
    )
    assert stranger(body) == stranger(encode(again)) | {"id": event_id}


async def test_without_a_trace_it_says_so(replica: Replica, truth: Truth) -> None:
    event = await replica.shop.event(seats=1)
    with bind_correlation("walk-8", None):
        request = Request(Wish(event.event_id, "ann", tuple(event.seats), {}, "refund"), new_id(), b"")
        decision = await replica.placing.place(request)
    assert isinstance(decision, Placed)
    body, *_ = await told(truth, str(decision.row["hold_id"]))
    assert (stranger(body)["correlation_id"], stranger(body)["traceparent"]) == ("walk-8", None)


async def test_the_largest_hold_is_told_whole(replica: Replica, truth: Truth) -> None:
    tiers = [{"name": LONG, "price_minor": DEAREST, "capacity": 50}]
    event = await replica.shop.event(seats=1, name=LONG, tiers=tiers, seats_per_hold_max=50)
    wish = {"event_id": event.event_id, "buyer_id": "b" * 64, "general": [{"tier": LONG, "quantity": 50}]}
    answer = await replica.shop.call("POST", "/api/v1/holds", wish, headers={"Idempotency-Key": new_id()})
    assert answer.status == 201, answer
    body, *_ = await told(truth, answer.body["hold_id"])
    placed = payload_of(decode(body))
    assert isinstance(placed, HoldPlaced)
    assert (placed.event_name, placed.total_minor) == (LONG, 50 * DEAREST)
    assert [line.unit_id for line in placed.lines] == [line["unit_id"] for line in answer.body["lines"]]
    assert {(line.tier, line.label, line.price_minor) for line in placed.lines} == {(LONG, LONG, DEAREST)}
    print(f"{len(body)} bytes")
    assert len(body) < EVENT_BYTES_MAX


async def test_nothing_is_told_of_who_got_nothing_or_asks_again(replica: Replica, truth: Truth) -> None:
    event = await replica.shop.event(seats=1)
    before = await truth.conn.fetchval("SELECT count(*) FROM delivery_outbox")
    ann, key = Buyer(replica.shop, "ann"), new_id()
    [first, again, late] = [await ann.ask(event, event.seats, key=k) for k in (key, key, new_id())]
    assert (first.status, again.status, late.status) == (201, 201, 409)
    assert await truth.kinds_of(first.body["hold_id"]) == ["hold.placed"]
    assert await truth.conn.fetchval("SELECT count(*) FROM delivery_outbox") == before + 1


async def test_its_pieces_are_no_calls(truth: Truth) -> None:
    """Functions in SQL are put in their callers' place, unless they promise more than what they are made of."""
    pieces = "msgpack_text(label), msgpack_integer(1), us_since_epoch(held_until)"
    plan = await truth.conn.fetch(f"EXPLAIN (VERBOSE, COSTS OFF) SELECT {pieces} FROM units")
    shown = "\n".join(row[0] for row in plan)
    assert "convert_to" in shown
    assert not any(name in shown for name in ("msgpack_text", "msgpack_integer", "us_since_epoch")), shown


async def test_what_would_be_too_large_is_not_staged(truth: Truth) -> None:
    with pytest.raises(asyncpg.ProgramLimitExceededError, match="65537 bytes; at most 65536"):
        await truth.conn.fetch(
            "SELECT delivery_stage('s', 'k', $1, $2, $3)",
            [new_id()] * 2,
            ["a", "b"],
            [b"x", b"x" * (EVENT_BYTES_MAX + 1)],
        )
    assert await truth.conn.fetchval("SELECT count(*) FROM delivery_outbox WHERE stream = 's'") == 0


def stranger(body: bytes) -> dict[str, Any]:
    """As another library reads it: every pair, and no byte more."""
    read: dict[str, Any] = msgpack.unpackb(body)
    assert {*read} == {*Envelope.__struct_fields__}
    assert {*read["payload"]} == {*HoldPlaced.__struct_fields__}
    return read
