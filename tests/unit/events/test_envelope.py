"""An event becomes bytes and comes back; bytes that are no event are refused with a reason."""

import contextlib

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ticketflow.events import (
    PAYLOADS,
    BadEvent,
    Envelope,
    HoldReleased,
    SaleSettle,
    decode,
    encode,
    envelope_for,
    new_id,
    payload_of,
)
from ticketflow.events.envelope import EVENT_BYTES_MAX

HOLD = "01890a5d-ac96-774b-bcce-b302099a8057"
PAYMENT = "01890a5d-ac96-774b-bcce-b302099a8058"


def settle() -> Envelope:
    return envelope_for(
        SaleSettle(hold_id=HOLD, payment_id=PAYMENT, started_at_us=1_700_000_000_000_000),
        key=HOLD,
        correlation_id="walk-1",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        now_us=1_700_000_000_500_000,
    )


def test_an_event_comes_back_as_it_went() -> None:
    event = settle()
    again = decode(encode(event))
    assert (again.id, again.kind, again.key, again.correlation_id) == (event.id, "sale.settle", HOLD, "walk-1")
    assert payload_of(again) == SaleSettle(hold_id=HOLD, payment_id=PAYMENT, started_at_us=1_700_000_000_000_000)


def test_any_msgpack_library_reads_an_event() -> None:
    event = settle()
    assert msgpack.unpackb(encode(event)) == {
        "id": event.id,
        "kind": "sale.settle",
        "version": 1,
        "key": HOLD,
        "occurred_at_us": 1_700_000_000_500_000,
        "correlation_id": "walk-1",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "payload": {"hold_id": HOLD, "payment_id": PAYMENT, "started_at_us": 1_700_000_000_000_000},
    }


def test_a_newer_version_is_read_by_the_fields_we_know() -> None:
    body = msgpack.packb(
        {
            "id": new_id(),
            "kind": "hold.released",
            "version": 7,
            "key": HOLD,
            "occurred_at_us": 1,
            "correlation_id": "c",
            "added_to_the_envelope": True,
            "payload": {"hold_id": HOLD, "added_later": [1, 2]},
        }
    )
    assert payload_of(decode(body)) == HoldReleased(hold_id=HOLD)


def test_an_unknown_kind_has_an_envelope_but_no_payload() -> None:
    body = msgpack.packb(
        {
            "id": new_id(),
            "kind": "seat.polished",
            "version": 1,
            "key": HOLD,
            "occurred_at_us": 1,
            "correlation_id": "c",
            "payload": {},
        }
    )
    assert payload_of(decode(body)) is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": "17"}, "`id` is no UUIDv7"),
        ({"kind": ""}, "`kind` has 0 characters"),
        ({"key": "k" * 65}, "`key` has 65 characters"),
        ({"version": 0}, "`version` is 0"),
        ({"version": 2**64 - 1}, "`version` is 18446744073709551615"),
        ({"occurred_at_us": 2**63}, "`occurred_at_us` is 9223372036854775808"),
        ({"traceparent": "0" * 65}, "`traceparent` has more than 64 characters"),
        ({"occurred_at_us": "noon"}, "occurred_at_us"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], complaint: str) -> None:
    fields = {
        "id": new_id(),
        "kind": "k",
        "version": 1,
        "key": HOLD,
        "occurred_at_us": 1,
        "correlation_id": "c",
        "payload": {},
    }
    with pytest.raises(BadEvent, match=complaint):
        decode(msgpack.packb(fields | change))


def test_a_payload_of_the_wrong_shape_is_named_with_its_kind() -> None:
    event = msgspec.structs.replace(settle(), payload=msgspec.Raw(msgpack.packb({"hold_id": 5})))
    with pytest.raises(BadEvent, match=r"sale\.settle version 1: Expected `str`, got `int` - at `\$\.hold_id`"):
        payload_of(event)


def test_an_event_too_large_for_a_frame_is_refused_where_it_is_made() -> None:
    event = msgspec.structs.replace(settle(), payload=msgspec.Raw(msgpack.packb("x" * EVENT_BYTES_MAX)))
    with pytest.raises(BadEvent, match="at most 65536"):
        encode(event)


@given(st.binary(max_size=2_000))
def test_no_bytes_raise_anything_but_bad_event(body: bytes) -> None:
    with contextlib.suppress(BadEvent):
        payload_of(decode(body))


def test_a_nesting_bomb_is_no_event() -> None:
    with pytest.raises(BadEvent):
        payload_of(decode(b"\x91" * 100_000))


def test_every_kind_is_named_like_its_fact() -> None:
    assert sorted(PAYLOADS) == [
        "hold.expired",
        "hold.lost",
        "hold.placed",
        "hold.released",
        "hold.returned",
        "hold.sold",
        "order.confirmed",
        "order.failed",
        "order.moved",
        "order.pending",
        "order.refunded",
        "payment.authorized",
        "payment.declined",
        "payment.voided",
        "sale.return",
        "sale.settle",
        "ticket.issued",
        "ticket.voided",
    ]
