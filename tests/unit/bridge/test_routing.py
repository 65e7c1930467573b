"""Bytes in, route out."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.routing import Route, route
from ticketflow.events import Envelope, OrderFailed, decode, encode, envelope_for, new_id


def an_event(kind: str = "order.failed", **changes: object) -> Envelope:
    order_id = new_id()
    payload = OrderFailed(order_id=order_id, reason="expired")
    event = envelope_for(payload, key=order_id, correlation_id="walk-1", now_us=1)
    return msgspec.structs.replace(event, kind=kind, **changes)


def route_of(body: bytes) -> Route:
    return route(body, stream="billing", epoch=7, seq=42)


def test_an_event_is_routed_by_its_kind() -> None:
    event = an_event()

    assert route_of(encode(event)) == Route(
        "ticketflow.events",
        "order.failed",
        {
            "stream": "billing",
            "epoch": 7,
            "seq": 42,
            "event_id": event.id,
            "key": event.key,
            "version": 1,
            "correlation_id": "walk-1",
        },
    )


def test_a_trace_goes_along() -> None:
    event = an_event(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

    assert route_of(encode(event)).headers["traceparent"] == event.traceparent


def test_kinds_and_versions_of_the_future_are_routed_like_all_others() -> None:
    assert route_of(encode(an_event("seat.upgraded", version=9))).routing_key == "seat.upgraded"


def test_bytes_that_are_no_event_go_where_somebody_parks_them() -> None:
    found = route_of(b"\xc1 no msgpack")

    assert found.routing_key == "undecodable"
    assert "not an event" in str(found.headers["reason"])
    assert found.headers["seq"] == 42


def test_a_kind_that_is_no_routing_key_is_undecodable_but_named() -> None:
    for kind in ("a b", "#", "*.x", ".a", "a..b", "a.", "ü.v", "a\n"):
        event = an_event(kind)
        found = route_of(encode(event))
        assert found.routing_key == "undecodable", kind
        assert found.headers["event_id"] == event.id


@given(st.binary(max_size=200))
def test_every_sequence_of_bytes_has_a_route(body: bytes) -> None:
    found = route_of(body)

    assert 1 <= len(found.routing_key.encode()) <= 255
    assert found.exchange == "ticketflow.events"


def test_the_body_is_none_of_its_business() -> None:
    event = an_event()

    assert decode(encode(event)) == event
    assert not any(isinstance(value, bytes) for value in route_of(encode(event)).headers.values())


def test_numbers_that_amqp_cannot_carry_are_undecodable() -> None:
    found = route_of(encode(an_event(version=2**63)))

    assert found.routing_key == "undecodable"
    assert "`version`" in str(found.headers["reason"])
