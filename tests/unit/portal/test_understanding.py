"""Every message means exactly one thing."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.following import Source
from portal.store import Parked
from portal.understanding import Fact, Ignored, Meaning, source_of, understand
from tests.unit.portal.events import SaleEvents
from ticketflow.events import Envelope, SaleReturn, SaleSettle, encode, new_id, payload_of
from ticketflow.events.replay import StreamPosition, position_event
from ticketflow.runtime.amqp import Delivery


def a_message(body: bytes, routing_key: str = "some.kind") -> Delivery:
    return Delivery(tag=1, routing_key=routing_key, headers={"seq": 7}, body=body, redelivered=False)


def meaning_of(envelope: Envelope) -> Meaning:
    return understand(a_message(encode(envelope)))


def with_payload(envelope: Envelope, **changes: object) -> Envelope:
    fields = msgspec.msgpack.decode(envelope.payload) | changes
    return msgspec.structs.replace(envelope, payload=msgspec.Raw(msgspec.msgpack.encode(fields)))


def test_an_event_of_a_sale_is_a_fact() -> None:
    events = SaleEvents()
    pending = events.pending()

    fact = meaning_of(pending)

    assert isinstance(fact, Fact)
    assert (fact.envelope, fact.view.order_id, fact.command) == (pending, events.order_id, None)


def test_a_paid_sale_asks_reservation_to_settle() -> None:
    events = SaleEvents()
    authorized = events.authorized()

    fact = meaning_of(authorized)

    assert isinstance(fact, Fact)
    command = fact.command
    assert command is not None
    assert (command.kind, command.key, command.correlation_id) == ("sale.settle", events.order_id, "walk-ann")
    assert payload_of(command) == SaleSettle(
        hold_id=events.order_id, payment_id=events.payment_id, started_at_us=1_795_000_000_000_000
    )
    assert command.id != authorized.id


def test_a_failed_order_whose_seats_were_sold_has_them_returned() -> None:
    events, return_id = SaleEvents(), new_id()

    fact = meaning_of(events.failed("capture_refused", return_id))

    assert isinstance(fact, Fact)
    assert fact.command is not None
    assert (fact.command.kind, fact.command.key, fact.command.correlation_id) == (
        "sale.return",
        events.order_id,
        "walk-ann",
    )
    assert payload_of(fact.command) == SaleReturn(hold_id=events.order_id, return_id=return_id)
    ended = meaning_of(events.failed())
    assert isinstance(ended, Fact)
    assert ended.command is None, "its seats were never sold"


def test_void_tickets_give_their_seats_back_when_they_shall() -> None:
    events, refund_id = SaleEvents(), new_id()

    fact = meaning_of(events.tickets_voided(refund_id, 1, seats_back=True))

    assert isinstance(fact, Fact)
    assert fact.command is not None
    assert payload_of(fact.command) == SaleReturn(
        hold_id=events.order_id, return_id=refund_id, unit_ids=[events.units[1]]
    )
    kept = meaning_of(events.tickets_voided(refund_id, 1))
    assert isinstance(kept, Fact)
    assert kept.command is None
    none = meaning_of(with_payload(events.tickets_voided(refund_id, seats_back=True), unit_ids=[]))
    assert isinstance(none, Fact)
    assert none.command is None, "a command without places would mean all of them"


def test_a_message_from_before_returns_is_read() -> None:
    failed = SaleEvents().failed()
    fields = msgspec.msgpack.decode(failed.payload)
    del fields["return_id"]

    fact = meaning_of(msgspec.structs.replace(failed, payload=msgspec.Raw(msgspec.msgpack.encode(fields))))

    assert isinstance(fact, Fact)
    assert fact.command is None


def test_a_refund_id_that_is_none_is_poison() -> None:
    parked = meaning_of(SaleEvents().tickets_voided("42"))

    assert isinstance(parked, Parked)
    assert parked.reason == "poison"


def test_kinds_of_the_future_and_of_others_are_ignored() -> None:
    pending = SaleEvents().pending()

    assert meaning_of(msgspec.structs.replace(pending, kind="seat.upgraded", version=3)) == Ignored("seat.upgraded")
    assert meaning_of(
        msgspec.structs.replace(
            pending,
            kind="sale.settle",
            payload=msgspec.Raw(msgspec.msgpack.encode({"hold_id": "a", "payment_id": "b", "started_at_us": 1})),
        )
    ) == Ignored("sale.settle")


def test_a_newer_version_is_read_as_ours() -> None:
    newer = msgspec.structs.replace(with_payload(SaleEvents().pending(), colour="red"), version=9)

    assert isinstance(meaning_of(newer), Fact)


def test_a_payload_of_the_wrong_shape_is_parked_under_its_id() -> None:
    broken = with_payload(SaleEvents().pending(), total_minor="a lot")

    parked = meaning_of(broken)

    assert isinstance(parked, Parked)
    assert (parked.reason, parked.event_id, parked.key, parked.kind) == (
        "undecodable",
        broken.id,
        broken.key,
        "order.pending",
    )
    assert "total_minor" in parked.detail


def test_an_order_id_that_is_none_is_poison() -> None:
    parked = meaning_of(with_payload(SaleEvents().pending(), order_id="42"))

    assert isinstance(parked, Parked)
    assert parked.reason == "poison"


@given(st.binary(max_size=300))
def test_any_bytes_mean_something(body: bytes) -> None:
    meaning = understand(a_message(body, "undecodable"))

    assert isinstance(meaning, Parked)
    assert (meaning.body, meaning.kind, meaning.headers) == (body, "undecodable", {"seq": 7})


def test_a_notice_of_a_position_is_one_and_of_another_family_is_none() -> None:
    position = StreamPosition(stream="billing.2", epoch=7, last_seq=9)

    assert meaning_of(position_event(position)) == position
    assert isinstance(meaning_of(position_event(msgspec.structs.replace(position, stream="portal"))), Ignored)
    assert isinstance(meaning_of(with_payload(position_event(position), last_seq=-1)), Parked)


def test_a_message_says_where_it_came_from() -> None:
    headers: dict[str, object] = {"stream": "billing.1", "epoch": 7, "seq": 42}
    delivery = Delivery(1, "some.kind", headers, b"no event", redelivered=False)

    assert source_of(delivery, understand(delivery)) == Source("billing.1", 7, 42, None)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"stream": "billing", "epoch": 7},
        {"stream": "portal", "epoch": 7, "seq": 1},
        {"stream": "billing.99", "epoch": 7, "seq": 1},
        {"stream": "billing", "epoch": 0, "seq": 1},
        {"stream": "billing", "epoch": 7, "seq": 2**63},
        {"stream": "billing", "epoch": "7", "seq": 1},
        {"stream": ["billing"], "epoch": 7, "seq": 1},
    ],
)
def test_what_says_nothing_usable_of_its_origin_is_not_counted(headers: dict[str, object]) -> None:
    delivery = Delivery(1, "some.kind", headers, b"no event", redelivered=False)

    assert source_of(delivery, understand(delivery)) is None
