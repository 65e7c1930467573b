"""The states of a session, as a table: role x state x (direction, message) -> new state.

Laws:
- What is not in the table is forbidden: receiving it is refused with `out_of_turn`, sending it is a LocalProtocolError.
- REFUSE ends a session at once, from either side, in any state that has begun.
- GOODBYE ends it peacefully: from then on no further EVENTS count; the receiver acknowledges what it has applied and
  closes the connection. EVENTS that crossed the receiver's GOODBYE on the way are dropped unapplied, unacknowledged.
- CLOSED has no way out: a new session is a new connection.

docs/feed-protocol.md shows this table; a test draws it from here.
"""

from enum import StrEnum

from ticketflow.feed.messages import Ack, Events, Goodbye, Hello, Message, Ping, Pong, Refuse, Welcome


class Role(StrEnum):
    SENDER = "sender"  # dials, says HELLO, sends EVENTS
    RECEIVER = "receiver"  # listens, says WELCOME, sends ACK


class State(StrEnum):
    NEW = "new"  # connected, nothing said
    GREETED = "greeted"  # HELLO is out, no answer yet
    STREAMING = "streaming"  # WELCOME is out
    FINISHING = "finishing"  # a GOODBYE is out, from either side
    CLOSED = "closed"  # REFUSE is out, or the connection is gone


class Way(StrEnum):
    SEND = "send"
    RECEIVE = "receive"


Row = dict[tuple[Way, type[Message]], State]

_SIGNS_OF_LIFE: tuple[type[Message], ...] = (Ping, Pong)


def _row(state: State, changes: dict[Way, dict[type[Message], State]], *, alive: bool) -> Row:
    """One state's row: the changes given, REFUSE both ways, and signs of life that change nothing if ``alive``."""
    row: Row = {(way, message): after for way, of_way in changes.items() for message, after in of_way.items()}
    for way in Way:
        row[way, Refuse] = State.CLOSED
        if alive:
            row.update({(way, message): state for message in _SIGNS_OF_LIFE})
    return row


_S, _R = Way.SEND, Way.RECEIVE

TRANSITIONS: dict[Role, dict[State, Row]] = {
    Role.SENDER: {
        State.NEW: _row(State.NEW, {_S: {Hello: State.GREETED}}, alive=False),
        State.GREETED: _row(State.GREETED, {_R: {Welcome: State.STREAMING}}, alive=False),
        State.STREAMING: _row(
            State.STREAMING,
            {
                _S: {Events: State.STREAMING, Goodbye: State.FINISHING},
                _R: {Ack: State.STREAMING, Goodbye: State.FINISHING},
            },
            alive=True,
        ),
        State.FINISHING: _row(State.FINISHING, {_R: {Ack: State.FINISHING, Goodbye: State.FINISHING}}, alive=True),
        State.CLOSED: {},
    },
    Role.RECEIVER: {
        State.NEW: _row(State.NEW, {_R: {Hello: State.GREETED}}, alive=False),
        State.GREETED: _row(State.GREETED, {_S: {Welcome: State.STREAMING}}, alive=False),
        State.STREAMING: _row(
            State.STREAMING,
            {
                _S: {Ack: State.STREAMING, Goodbye: State.FINISHING},
                _R: {Events: State.STREAMING, Goodbye: State.FINISHING},
            },
            alive=True,
        ),
        State.FINISHING: _row(
            State.FINISHING,
            {_S: {Ack: State.FINISHING}, _R: {Events: State.FINISHING, Goodbye: State.FINISHING}},
            alive=True,
        ),
        State.CLOSED: {},
    },
}


def as_markdown(role: Role) -> str:
    """The table of one role as it stands in docs/feed-protocol.md."""
    lines = ["| state | way | message | next state |", "|---|---|---|---|"]
    for state, row in TRANSITIONS[role].items():
        for way in Way:
            by_next: dict[State, list[str]] = {}
            for (of_way, message), after in row.items():
                if of_way is way:
                    by_next.setdefault(after, []).append(message.__name__.upper())
            lines += [f"| {state} | {way} | {', '.join(sorted(names))} | {after} |" for after, names in by_next.items()]
    return "\n".join(lines) + "\n"
