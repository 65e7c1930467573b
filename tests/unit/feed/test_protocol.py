"""A session from HELLO to its end, between two ends of the protocol."""

import pytest

from tests.unit.feed.link import HELLO, Wire, end_of, framed
from ticketflow.feed import Hello, Limits, LocalProtocolError, PeerLeft, Position, Refused, SessionLost
from ticketflow.feed.errors import Code, RemoteProtocolError
from ticketflow.feed.limits import EVENT_BYTES_MAX, EVENTS_PER_FRAME_MAX
from ticketflow.feed.messages import Ack, Events, Goodbye, Message, Ping, Pong, Refuse, Welcome
from ticketflow.feed.states import State

# -- the handshake


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_hello_is_answered_with_welcome_in_any_cut(cut: int) -> None:
    wire = Wire(cut=cut)
    wire.cross()
    assert wire.at_receiver == [HELLO]
    wire.receiver.welcome(Position(1, 42), wire.now)
    wire.cross()
    assert wire.at_sender == [Welcome(1, 1, 42, 2048, 2 * 1024 * 1024, 2000, 6000, "billing-1")]
    assert wire.sender.state is wire.receiver.state is State.STREAMING
    assert wire.sender.acked == 42


def test_a_newer_sender_is_answered_in_our_version() -> None:
    wire = Wire(hello=Hello(7, "reservation", 1, 1, 0, "relay-1"))
    wire.cross()
    wire.receiver.welcome(Position(1, 0), wire.now)
    wire.cross()
    assert wire.sender.welcome is not None
    assert wire.sender.welcome.version == 1


def test_a_receiver_that_speaks_only_a_newer_version_is_refused() -> None:
    wire = Wire()
    wire.cross()
    wire.at_sender += wire.sender.receive(
        framed(Welcome(2, 1, 0, 2048, 2 * 1024 * 1024, 2000, 6000, "future")), wire.now
    )
    assert isinstance(error := end_of(wire.at_sender), RemoteProtocolError)
    assert error.code == Code.VERSION_UNSUPPORTED


def test_a_receiver_may_refuse_instead_with_a_hint() -> None:
    wire = Wire()
    wire.cross()
    wire.receiver.refuse("unavailable", "the store is down", 0.5)
    wire.cross()
    assert isinstance(error := end_of(wire.at_sender), Refused)
    assert (error.code, error.reason, error.retry_after_s) == ("unavailable", "the store is down", 0.5)


def test_a_hello_that_no_receiver_would_take_is_our_own_fault() -> None:
    with pytest.raises(LocalProtocolError, match="HELLO"):
        Wire(hello=Hello(1, "No Such Name", 1, 1, 0, "relay-1"))


@pytest.mark.parametrize("early", [Events(1, [b"x"]), Ping(1), Ack(1), Goodbye("")])
def test_nothing_may_come_before_hello(early: Message) -> None:
    wire = Wire()
    events = wire.receiver.receive(framed(early), wire.now)
    assert isinstance(error := end_of(events), RemoteProtocolError)
    assert error.code == Code.OUT_OF_TURN


def test_nothing_may_come_between_hello_and_welcome() -> None:
    wire = Wire()
    events = wire.receiver.receive(framed(HELLO) + framed(Events(1, [b"x"])), wire.now)
    assert events[0] == HELLO
    assert isinstance(error := end_of(events), RemoteProtocolError)
    assert error.code == Code.OUT_OF_TURN


def test_before_hello_a_frame_may_have_1_kib_with_its_header() -> None:
    wire = Wire()
    assert wire.receiver.receive((1020).to_bytes(4, "big"), wire.now) == []
    other = Wire()
    events = other.receiver.receive((1021).to_bytes(4, "big"), other.now)
    assert isinstance(error := end_of(events), RemoteProtocolError)
    assert error.code == Code.FRAME_TOO_LARGE


def test_hello_twice_is_refused() -> None:
    wire = Wire().open()
    events = wire.receiver.receive(framed(HELLO), wire.now)
    assert isinstance(error := end_of(events), RemoteProtocolError)
    assert error.code == Code.OUT_OF_TURN


# -- events and acks


@pytest.mark.parametrize("cut", [0, 1, 1000])
def test_events_arrive_in_order_and_are_acknowledged_together(cut: int) -> None:
    wire = Wire(cut=cut).open()
    assert wire.send(1, b"a", b"b") == 2
    assert wire.send(3, b"c") == 1
    assert wire.arrived() == [b"a", b"b", b"c"]
    wire.receiver.ack(3)
    wire.cross()
    assert wire.at_sender == [Ack(3)]
    assert wire.sender.acked == 3
    assert wire.sender.window_events_used == wire.receiver.window_events_used == 0


def test_events_taken_in_one_turn_share_a_frame() -> None:
    wire = Wire().open()
    for seq in range(1, 101):
        wire.sender.offer(seq, [b"x"], 0, wire.now)
    wire.cross()
    assert [event.last_seq for event in wire.at_receiver if isinstance(event, Events)] == [100]


def test_frames_are_closed_at_their_target_size_and_count() -> None:
    wire = Wire(Limits(frame_target_bytes=1000)).open()
    wire.send(1, *[b"x" * 300] * 4)
    assert [event.last_seq for event in wire.at_receiver if isinstance(event, Events)] == [3, 4]
    tiny = Wire().open()
    tiny.send(1, *[b"x"] * (EVENTS_PER_FRAME_MAX + 1))
    assert len(tiny.at_receiver) == 2


def test_the_largest_event_passes_and_a_larger_one_is_our_own_fault() -> None:
    wire = Wire().open()
    assert wire.send(1, b"x" * EVENT_BYTES_MAX) == 1
    assert wire.arrived() == [b"x" * EVENT_BYTES_MAX]
    for size in (0, EVENT_BYTES_MAX + 1):
        with pytest.raises(LocalProtocolError, match="bytes"):
            wire.send(2, b"x" * size)


def test_a_sender_may_begin_behind_the_watermark_but_leave_no_gap_after_it() -> None:
    wire = Wire().open(watermark=10)
    assert wire.send(5, b"again") == 1
    ahead = Wire().open(watermark=10)
    assert ahead.send(11, b"next") == 1
    with pytest.raises(LocalProtocolError, match="gap"):
        Wire().open(watermark=10).send(12, b"too far")
    with pytest.raises(LocalProtocolError, match="gap"):
        ahead.send(13, b"too far")


def test_without_a_watermark_a_sender_begins_where_it_likes() -> None:
    wire = Wire().open(watermark=None)
    assert wire.sender.acked is None
    assert wire.send(77, b"x") == 1
    wire.receiver.ack(77)
    wire.cross()
    assert wire.sender.acked == 77


@pytest.mark.parametrize(("before", "first"), [((), 12), ((11,), 13)])
def test_a_gap_is_refused(before: tuple[int, ...], first: int) -> None:
    wire = Wire().open(watermark=10)
    for seq in before:
        wire.receiver.receive(framed(Events(seq, [b"x"])), wire.now)
    events = wire.receiver.receive(framed(Events(first, [b"x"])), wire.now)
    assert isinstance(error := end_of(events), RemoteProtocolError)
    assert error.code == Code.GAP


def test_what_a_session_has_brought_already_is_dropped() -> None:
    wire = Wire().open()
    frame = framed(Events(1, [b"a", b"b"]))
    assert wire.receiver.receive(frame + frame, wire.now) == [Events(1, [b"a", b"b"])]
    assert wire.receiver.window_events_used == 2
    assert wire.receiver.receive(framed(Events(2, [b"b", b"c"])), wire.now) == [Events(3, [b"c"])]


def test_a_repeat_of_what_is_acknowledged_is_acknowledged_again() -> None:
    wire = Wire().open()
    wire.send(1, b"a")
    wire.receiver.ack(1)
    wire.receiver.data_to_send()
    wire.receiver.receive(framed(Events(1, [b"a"])), wire.now)
    assert wire.receiver.data_to_send() == framed(Ack(1))


def test_a_receiver_may_know_more_than_its_welcome_said() -> None:
    """An earlier session's apply was still running when this one was welcomed."""
    wire = Wire().open(watermark=5)
    wire.send(6, b"six")
    wire.receiver.ack(20)
    wire.cross()
    assert wire.sender.acked == 20
    bodies = [str(seq).encode() for seq in range(7, 23)]
    assert wire.send(7, *bodies) == len(bodies)
    assert wire.arrived() == [b"six", b"21", b"22"]


@pytest.mark.parametrize("seq", [101, 4])
def test_an_ack_of_what_was_never_sent_or_that_goes_back_is_refused(seq: int) -> None:
    wire = Wire().open(watermark=5)
    events = wire.sender.receive(framed(Ack(seq)), wire.now)
    assert isinstance(error := end_of(events), RemoteProtocolError)
    assert error.code == Code.BAD_ACK


def test_a_receiver_does_not_take_an_ack_back() -> None:
    wire = Wire().open(watermark=5)
    with pytest.raises(LocalProtocolError):
        wire.receiver.ack(4)


# -- the window

SMALL = Limits(window_events=4, window_bytes=256 * 1024)


def test_a_sender_stops_at_the_window_and_goes_on_after_an_ack() -> None:
    wire = Wire(SMALL).open()
    bodies = [b"x"] * 6
    assert wire.send(1, *bodies) == 4
    assert wire.sender.offer(1, bodies, 4, wire.now) == 4
    wire.receiver.ack(4)
    wire.cross()
    assert wire.sender.offer(1, bodies, 4, wire.now) == 6


def test_the_window_is_one_of_bytes_too() -> None:
    wire = Wire(SMALL).open()
    assert wire.send(1, b"x" * 100_000, b"x" * 100_000, b"x" * 100_000) == 2


def test_a_frame_counts_whole_until_its_last_event_is_acknowledged() -> None:
    wire = Wire(SMALL).open()
    wire.send(1, b"a", b"b", b"c", b"d")
    wire.receiver.ack(3)
    wire.cross()
    assert wire.sender.offer(5, [b"e"], 0, wire.now) == 0
    assert wire.receiver.window_events_used == wire.sender.window_events_used == 4


@pytest.mark.parametrize("excess", [[b"x"] * 5, [b"x" * 132_000, b"x" * 131_000]])
def test_a_sender_that_exceeds_the_window_is_refused(excess: list[bytes]) -> None:
    wire = Wire(SMALL).open()
    events: list[object] = []
    for index, body in enumerate(excess):
        events += wire.receiver.receive(framed(Events(index + 1, [body])), wire.now)
    assert isinstance(error := end_of(events), RemoteProtocolError)  # type: ignore[arg-type]
    assert error.code == Code.WINDOW_EXCEEDED


# -- the end


def test_a_sender_that_leaves_gets_its_last_acks() -> None:
    wire = Wire().open()
    wire.sender.offer(1, [b"a"], 0, wire.now)
    wire.sender.goodbye("done")
    wire.cross()
    assert wire.at_receiver == [Events(1, [b"a"]), Goodbye("done")]
    wire.receiver.ack(1)
    wire.cross()
    assert wire.sender.acked == 1
    assert isinstance(end_of(wire.sender.eof()), PeerLeft)


def test_after_its_own_goodbye_a_receiver_ignores_events_that_crossed_it() -> None:
    wire = Wire().open()
    wire.sender.offer(1, [b"a"], 0, wire.now)
    wire.receiver.goodbye("shutting down")
    wire.cross()
    assert wire.arrived() == []
    assert wire.sender.offer(2, [b"b"], 0, wire.now) == 0
    assert wire.sender.state is State.FINISHING


def test_goodbyes_may_cross() -> None:
    wire = Wire().open()
    wire.sender.goodbye("done")
    wire.receiver.goodbye("shutting down")
    wire.cross()
    assert wire.sender.state is wire.receiver.state is State.FINISHING
    with pytest.raises(LocalProtocolError):
        wire.sender.goodbye("again")


def test_a_connection_that_ends_without_goodbye_is_lost() -> None:
    wire = Wire().open()
    assert type(end_of(wire.sender.eof())) is SessionLost
    assert wire.sender.eof() == []


def test_after_the_end_nothing_is_read_or_said() -> None:
    wire = Wire().open()
    wire.receiver.refuse("internal", "x")
    wire.receiver.data_to_send()
    assert wire.receiver.receive(framed(Events(1, [b"a"])), wire.now) == []
    assert wire.receiver.tick(wire.now + 100) == []
    assert wire.receiver.next_deadline() is None
    assert wire.receiver.refuse("internal", "again") == []
    assert wire.receiver.data_to_send() == b""


def test_a_refusal_without_hint_has_none() -> None:
    wire = Wire().open()
    events = wire.receiver.receive(framed(Refuse("newer_code", "", None)), wire.now)
    assert isinstance(error := end_of(events), Refused)
    assert (error.code, error.retry_after_s) == ("newer_code", None)


def test_a_ping_is_answered_in_every_state_from_welcome_on() -> None:
    wire = Wire().open()
    wire.receiver.receive(framed(Ping(5)), wire.now)
    assert wire.receiver.data_to_send() == framed(Pong(5))
    wire.receiver.goodbye("shutting down")
    wire.receiver.data_to_send()
    wire.receiver.receive(framed(Ping(6)), wire.now)
    assert wire.receiver.data_to_send() == framed(Pong(6))


def test_a_flood_of_pings_is_not_answered_with_a_flood() -> None:
    wire = Wire().open()
    wire.receiver.receive(framed(Ping(1)) * 1000, wire.now)
    assert len(wire.receiver.data_to_send()) == 20 * len(framed(Pong(1)))
    wire.receiver.receive(framed(Ping(2)), wire.now + 1.5)
    assert wire.receiver.data_to_send() == framed(Pong(2))


@pytest.mark.parametrize("flood", [Ping(1), Events(1, [b"again"])])
def test_a_flood_that_means_nothing_is_refused(flood: Message) -> None:
    wire = Wire().open()
    events = wire.receiver.receive(framed(flood) * 1002, wire.now)
    assert isinstance(error := end_of(events), RemoteProtocolError)
    assert error.code == Code.OUT_OF_TURN
