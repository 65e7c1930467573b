"""Time: every wait of the protocol has an end, and a slow peer is not taken for a dead one."""

import pytest

from tests.unit.feed.link import Wire, end_of, framed
from ticketflow.feed import Limits, PeerSilent, Position, Refused, RemoteProtocolError
from ticketflow.feed.errors import Code
from ticketflow.feed.messages import Events, Ping
from ticketflow.feed.protocol import Protocol


def remote_code(events: list[object]) -> Code:
    error = end_of(events)  # type: ignore[arg-type]
    assert isinstance(error, RemoteProtocolError)
    return error.code


def test_no_hello_within_3_s_is_refused() -> None:
    wire = Wire()
    assert wire.receiver.next_deadline() == wire.now + 3
    assert wire.receiver.tick(wire.now + 2.9) == []
    assert remote_code([*wire.receiver.tick(wire.now + 3)]) == Code.HANDSHAKE_TIMEOUT


def test_deadlines_count_from_the_connection() -> None:
    wire = Wire()
    wire.receiver.connected(wire.now + 2)
    assert wire.receiver.tick(wire.now + 4) == []


def test_hello_byte_by_byte_does_not_stretch_its_deadline() -> None:
    wire = Wire()
    for byte in wire.sender.data_to_send()[:-1]:
        wire.now += 0.05
        wire.receiver.receive(bytes([byte]), wire.now)
    assert remote_code([*wire.receiver.tick(wire.now + 2)]) == Code.HANDSHAKE_TIMEOUT


def test_who_is_looked_at_late_is_told_what_he_missed_first() -> None:
    """All that run may be over by then: the first one is the cause all the same."""
    stranger, dripping, silent = Wire(), Wire().open(), Wire(Limits(frame_timeout_s=5.9)).open()
    stranger.receiver.receive(b"\x00", stranger.now)
    assert remote_code([*stranger.receiver.tick(stranger.now + 60)]) == Code.HANDSHAKE_TIMEOUT

    dripping.receiver.receive(b"\x00", dripping.now)
    assert remote_code([*dripping.receiver.tick(dripping.now + 60)]) == Code.FRAME_TIMEOUT

    silent.receiver.receive(b"\x00", silent.now + 1)
    assert isinstance(end_of(silent.receiver.tick(silent.now + 60)), PeerSilent)

    mute = Wire()
    mute.cross()
    mute.sender.receive(b"\x00", mute.now + 8)
    assert isinstance(end_of(mute.sender.tick(mute.now + 60)), PeerSilent)
    assert mute.sender.refused == Code.HANDSHAKE_TIMEOUT


def test_time_in_which_we_stood_still_is_not_the_peers() -> None:
    stranger, dripping, mute = Wire(), Wire().open(), Wire()
    stranger.receiver.stood_still(60)
    assert stranger.receiver.tick(stranger.now + 62.9) == []
    assert remote_code([*stranger.receiver.tick(stranger.now + 63)]) == Code.HANDSHAKE_TIMEOUT

    dripping.receiver.receive(b"\x00", dripping.now)
    dripping.receiver.stood_still(60)
    assert dripping.receiver.tick(dripping.now + 64.9) == []
    assert remote_code([*dripping.receiver.tick(dripping.now + 65)]) == Code.FRAME_TIMEOUT

    mute.cross()
    mute.sender.stood_still(60)
    assert mute.sender.tick(mute.now + 68.9) == []
    assert isinstance(end_of(mute.sender.tick(mute.now + 69)), PeerSilent)


@pytest.mark.parametrize("which", ["sender", "receiver"])
def test_who_stood_still_for_a_minute_gives_the_peer_its_6_s(which: str) -> None:
    wire = Wire().open()
    end: Protocol = getattr(wire, which)
    wire.now += 60
    end.stood_still(60)
    assert silent_for(end, wire, 5.5) == []
    assert isinstance(end_of(silent_for(end, wire, 1)), PeerSilent)  # type: ignore[arg-type]


def test_while_the_receiver_makes_up_its_mind_nobody_is_dead() -> None:
    wire = Wire()
    wire.cross()
    wire.later(8)
    wire.receiver.welcome(Position(1, 0), wire.now)
    wire.cross()
    wire.later(1)
    assert not wire.sender.closed
    assert not wire.receiver.closed


def test_a_sender_waits_9_s_for_welcome() -> None:
    wire = Wire()
    wire.cross()
    assert isinstance(end_of(wire.sender.tick(wire.now + 9)), PeerSilent)


def test_a_frame_once_begun_must_be_complete_within_5_s() -> None:
    wire = Wire().open()
    frame = framed(Events(1, [b"x" * 100]))
    events: list[object] = []
    for byte in frame:  # one byte every 200 ms, and pings cannot get in between
        events += wire.receiver.receive(bytes([byte]), wire.now)
        events += wire.receiver.tick(wire.now)
        wire.now += 0.2
    assert remote_code(events) == Code.FRAME_TIMEOUT


def test_a_slow_frame_that_ends_in_time_passes() -> None:
    wire = Wire().open()
    frame = framed(Events(1, [b"x" * 100]))
    wire.receiver.receive(frame[:5], wire.now)
    wire.now += 4.9
    assert wire.receiver.tick(wire.now) == []
    assert wire.receiver.receive(frame[5:], wire.now) == [Events(1, [b"x" * 100])]


def test_the_deadline_of_a_frame_begins_when_the_frame_before_it_is_complete() -> None:
    wire = Wire().open()
    frame = framed(Events(1, [b"x"]))
    second = framed(Events(2, [b"y"]))
    wire.receiver.receive(frame[:5], wire.now)
    wire.now += 4.5
    wire.receiver.receive(frame[5:] + second[:1], wire.now)
    wire.now += 4.5
    wire.receiver.tick(wire.now)
    assert not wire.receiver.closed
    assert wire.receiver.receive(second[1:], wire.now) == [Events(2, [b"y"])]


def test_each_end_pings_every_2_s_and_measures_the_round_trip() -> None:
    wire = Wire().open()
    for _ in range(10):
        wire.later(2)
    assert wire.sender.rtt_s == wire.receiver.rtt_s == 0
    assert wire.sender.counts.frames_out == 1 + 10 + 10  # HELLO, pings, pongs
    assert wire.at_sender == wire.at_receiver == []


def silent_for(end: Protocol, wire: Wire, seconds: float) -> list[object]:
    events: list[object] = []
    for _ in range(int(seconds * 2)):
        wire.now += 0.5
        events += end.tick(wire.now)
        end.data_to_send()
    return events


@pytest.mark.parametrize("which", ["sender", "receiver"])
def test_a_peer_that_is_silent_for_6_s_is_dead(which: str) -> None:
    wire = Wire().open()
    end: Protocol = getattr(wire, which)
    assert silent_for(end, wire, 5.5) == []
    assert isinstance(end_of(silent_for(end, wire, 1)), PeerSilent)  # type: ignore[arg-type]
    assert end.refused == Code.IDLE_TIMEOUT


def test_a_peer_told_that_it_was_silent_knows_why() -> None:
    wire = Wire().open()
    silent_for(wire.receiver, wire, 5.5)
    wire.now += 1
    wire.receiver.tick(wire.now)
    wire.carry(wire.receiver, wire.sender, wire.at_sender)
    assert isinstance(error := end_of(wire.at_sender), Refused)
    assert error.code == Code.IDLE_TIMEOUT


def test_half_a_frame_is_no_sign_of_life() -> None:
    wire = Wire(Limits(frame_timeout_s=5.9)).open()
    frame = framed(Ping(1))
    wire.now += 1
    wire.receiver.receive(frame[:1], wire.now)
    assert isinstance(end_of(wire.receiver.tick(wire.now + 5)), PeerSilent)


def test_any_whole_frame_is_a_sign_of_life() -> None:
    wire = Wire().open()
    for seq in range(1, 6):
        wire.now += 5
        wire.receiver.receive(framed(Events(seq, [b"x"])), wire.now)
        wire.receiver.tick(wire.now)
    assert not wire.receiver.closed


def test_the_receivers_times_hold_for_the_sender() -> None:
    wire = Wire(Limits(ping_interval_s=0.5, idle_timeout_s=1.0, frame_timeout_s=0.9))
    wire.sender.limits = Limits()
    wire.open()
    assert wire.sender.next_deadline() == wire.now + 0.5
