"""What people read of parked events: aligned, bounded, and without power over a terminal."""

import json

import msgspec
import pytest

from tests.unit.delivery.parked_events import parked
from ticketflow.delivery import parking_output as output
from ticketflow.events import Envelope, encode, new_id


def test_a_table_is_aligned() -> None:
    lines = output.listed([parked(), parked(id="1234", reason="undecodable", seq=None, key="", kind="")], more=False)
    assert lines.splitlines() == [
        "ID    AGE  REASON       TRIES  BEHIND  SEQ  KIND           KEY  WHY",
        "7      3m  poison           1       2   41  hold.released  k    Poison: no such hall",
        "1234   3m  undecodable      1       2    -  -              -    Poison: no such hall",
    ]


def test_a_cell_is_cut() -> None:
    line = output.listed([parked(detail="x" * 500)], more=False).splitlines()[1]
    assert line.endswith("x" * 57 + "...")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (0, "0s"), (59.9, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86399, "23h"), (172800, "2d")],
)
def test_ages(seconds: float, text: str) -> None:
    assert output.age(seconds) == text


def test_nothing_from_outside_steers_a_terminal() -> None:
    evil = "\x1b[2J\r\nroot# \u202e"
    event = parked(key=evil, kind=evil, detail=evil)
    for text in (output.listed([event], more=False), output.shown(event)):
        assert "\x1b" not in text
        assert "\r" not in text
        assert "\u202e" not in text
    assert output.plain(evil) == "\\x1b[2J\\r\\nroot# \\u202e"


def test_an_event_is_shown_decoded() -> None:
    text = output.shown(parked())
    assert "orders, epoch 1, seq 41" in text
    assert "2 later events of its key wait" in text
    event = json.loads(text[text.index("{") :])
    assert (event["kind"], event["payload"]) == ("hold.released", {"hold_id": "k"})


def test_bytes_that_are_no_event_are_shown_as_a_dump() -> None:
    text = output.shown(parked(event_id=None, key="", kind="", body=b"\xc1\x1b[2Jhello world, again" + bytes(500)))
    assert "no event: 523 bytes" in text
    assert "0000  c1 1b 5b 32 4a 68 65 6c 6c 6f 20 77 6f 72 6c 64  ..[2Jhello world" in text
    assert text.endswith("...")
    assert len(text.splitlines()) < 40


def test_a_long_event_is_cut_for_people_and_whole_for_programs() -> None:
    body = _event({"note": "n" * 50_000})
    assert len(output.shown(parked(body=body))) < 9_000
    told = json.loads(output.as_json(output.as_dict(parked(body=body))))
    assert told["event"]["payload"]["note"] == "n" * 50_000


def test_a_payload_of_any_shape_becomes_json() -> None:
    payload = {1: b"bytes", "ext": msgspec.msgpack.Ext(5, b"x"), "nested": [{"t": None}, 1.5, True]}
    told = json.loads(output.as_json(output.decoded(_event(payload))))
    assert told["payload"] == {
        "1": "b'bytes'",
        "ext": "Ext(5, b'x')",
        "nested": [{"t": None}, 1.5, True],
    }


def _event(payload: object) -> bytes:
    raw = msgspec.Raw(msgspec.msgpack.encode(payload))
    return encode(
        Envelope(id=new_id(), kind="k", version=1, key="a", occurred_at_us=1, correlation_id="c", payload=raw)
    )
