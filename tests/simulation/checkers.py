"""What must hold, whatever happens. Each rule sees only what a bystander could: visible rows, ACKs on the wire.

- order, once: after every COMMIT of the receiver, the effects on a key are those of the sender's events of that key,
  from the first on, in order, none twice. Events that the sender has forgotten (lost history) may stand between.
- fencing: what changes the sending end of the stream is written by the lease's owner; what moves the watermark came
  under the newest fencing token that the receiver has seen.
- lanes: the same rules, whatever lane an event goes through; what is said of a stream holds for each. An event is
  stamped in the lane that its key has at that moment.
- holes: what the receiver lost in the middle of its history is replayed, or listed as given up; it may come late.
- ack: no ACK is beyond what was ever durable.
- in the end: every event of the sender's surviving history took effect; both ends agree; no gap in seq; every effect
  of a forgotten event is listed as a phantom.
"""

from typing import Any, NamedTuple

from tests.simulation.database import Database
from tests.simulation.dialect_lanes import slot_of
from tests.simulation.loop import Process
from tests.simulation.marks import mark_of_id
from tests.simulation.plan import OPERATOR
from tests.simulation.rows import OutboxEntry, PositionEntry, StreamEntry
from tests.simulation.session import Session
from ticketflow.delivery.dialect import ParkedRow
from ticketflow.delivery.lanes import Lane, lane_of
from ticketflow.delivery.lanes_barrier import KEY as BARRIER_KEY


class Place(NamedTuple):
    """Where an event stands."""

    stream: str
    seq: int


class Violation(AssertionError):
    """A rule was broken. The message begins with the rule's name."""


class Checkers:
    def __init__(self, stream: str, sending: Database, receiving: Database) -> None:
        self.stream = stream
        self.forgotten: set[str] = set()  # marks of events that the sender has lost
        self.punched: dict[str, Place] = {}  # marks whose row the receiver has lost: they may come late
        self.found: list[str] = []
        self._sending = sending
        self._receiving = receiving
        self._durable: dict[str, int] = {}  # by stream, the highest watermark that was ever visible
        self._known: dict[str, tuple[str, ...]] = {}  # effects on a key that were found in order

    # -- at every COMMIT, at every ACK

    def sender_committed(self, session: Session) -> None:
        if session.process.name == OPERATOR:
            return
        for (table, pk), row in session.writes.items():
            if table == "stream":
                self._check_lease(session, pk, row.lanes)
            elif table == "outbox" and row is not None and row.seq is not None:
                lanes = self._sending.table("stream")[row.stream].lanes
                self._check_lease(session, row.stream, lanes)
                if row.key != BARRIER_KEY:
                    self._check_lane(row, lanes)

    def _check_lane(self, row: OutboxEntry, lanes: int) -> None:
        theirs, told = Lane(self.stream, slot_of(row.key) % lanes).stream, f"{row.seq} of {row.stream}"
        self._hold("lanes", row.stream == theirs, f"key {row.key} is stamped as {told}, with {lanes} lanes")

    def _check_lease(self, session: Session, stream: str, lanes: int) -> None:
        lane = lane_of(self.stream, stream)
        assert lane is not None
        lease, writer = self._sending.table("lease").get(lane.lease(lanes)), session.process.name
        owner = lease.owner if lease is not None else "nobody"
        self._hold("fencing", owner == writer, f"{writer} wrote {stream}, the lease is {owner}'s")

    def receiver_committed(self, session: Session) -> None:
        for (table, pk), row in session.writes.items():
            if table == "effect":
                self._check_effects(pk, row.marks)
            elif table == "position" and session.fence is not None:
                self._durable[pk] = max(self._durable.get(pk, 0), row.watermark)
                under, newest = session.fence, row.fence
                self._hold("fencing", under >= newest, f"{pk} applied under fence {under}, {newest} is known")

    def acked(self, process: Process, stream: str, seq: int) -> None:
        durable = self._durable.get(stream, 0)
        self._hold("ack", seq <= durable, f"{process.name} acknowledged {seq} of {stream}, durable is {durable}")

    def _check_effects(self, key: str, marks: tuple[str, ...]) -> None:
        self._hold("once", len(set(marks)) == len(marks), f"key {key} has an effect twice: {marks}")
        surviving = self._surviving(marks)
        expected = self._comparable(self._truth(key))[: len(surviving)]
        self._hold("order", surviving == expected, f"key {key} has {surviving}, its events are {expected}")

    # -- in the end

    def at_the_end(self) -> None:
        for key in self._sending.table("aggregate"):
            arrived = self._surviving(self._effects(key) + self._parked(key))
            truth = self._truth(key)
            self._hold("lost", arrived == self._comparable(truth), f"key {key} has {arrived}, its events are {truth}")
            arrived = self._effects(key) + self._parked(key)
            missing = [mark for mark in truth if mark in self.punched and mark not in arrived]
            unfilled = [mark for mark in missing if not self._given_up(*self.punched[mark])]
            self._hold("holes", not unfilled, f"lost in the receiver, not replayed and not given up: {unfilled}")
        for stream in self._sending.table("stream"):
            self._check_seqs(stream)
        phantoms = {mark_of_id(row.event_id) for row in self._receiving.table("phantom").values()}
        for key in self._receiving.table("effect"):
            unlisted = [mark for mark in self._effects(key) if mark in self.forgotten and mark not in phantoms]
            self._hold("phantoms", not unlisted, f"forgotten, applied and not quarantined: {unlisted}")

    def unsettled(self) -> str:
        """What the sender has left to do, or the receiver to fill; empty for nothing."""
        streams = self._sending.table("stream")
        if not streams:
            return "nothing was ever sent"
        if waiting := sum(row.seq is None for row in self._sending.table("outbox").values()):
            return f"{waiting} events are not stamped"
        if missing := [mark for mark, place in self.punched.items() if self._is_open(mark, *place)]:
            return f"{missing} are missing in the receiver"
        return "; ".join(told for stream, state in streams.items() if (told := self._disagree(stream, state)))

    def _disagree(self, stream: str, state: StreamEntry) -> str:
        position: PositionEntry | None = self._receiving.table("position").get(stream)
        if position is None:
            return f"{stream} never arrived" if state.last_seq or stream == self.stream else ""
        lane = lane_of(self.stream, stream)
        if lane is not None and lane.number >= state.lanes and state.last_seq == position.watermark == 0:
            return ""  # retired, and nothing of it at either end: until it is in use again no relay says its epoch
        agree = (position.epoch, position.watermark, state.acked_seq) == (state.epoch, state.last_seq, state.last_seq)
        return "" if agree else f"{stream} is at {state.brief()}, its receiver at {position.brief()}"

    def _check_seqs(self, stream: str) -> None:
        state = self._sending.table("stream")[stream]
        outbox, inbox = self._sending.table("outbox"), self._receiving.table("inbox")
        seqs = sorted(row.seq for row in outbox.values() if row.stream == stream)
        gapless = list(range(state.last_seq - len(seqs) + 1, state.last_seq + 1))
        self._hold("gapless", seqs == gapless, f"the outbox keeps {seqs} of {stream}, last_seq is {state.last_seq}")
        known = {row.seq for row in inbox.values() if row.stream == stream and row.seq is not None}
        known |= {seq for of, seq in self._receiving.table("passed") if of == stream}
        known |= {seq for seq in range(1, state.last_seq + 1) if self._given_up(stream, seq)}
        whole = known == set(range(1, state.last_seq + 1))
        self._hold("gapless", whole, f"the receiver knows {sorted(known)} of {stream}, last_seq is {state.last_seq}")

    # -- what the rows say

    def _truth(self, key: str) -> tuple[str, ...]:
        row = self._sending.table("aggregate").get(key)
        return () if row is None else row.marks

    def _effects(self, key: str) -> tuple[str, ...]:
        row = self._receiving.table("effect").get(key)
        return () if row is None else row.marks

    def _parked(self, key: str) -> tuple[str, ...]:
        rows: list[tuple[int, ParkedRow]] = sorted(
            (at, row) for at, (_, _, row) in self._receiving.table("parked").items() if row.key == key
        )
        return tuple(mark_of_id(row.event_id or "") for _, row in rows)

    def _surviving(self, marks: tuple[str, ...]) -> tuple[str, ...]:
        if not self.forgotten and not self.punched:
            return marks
        return tuple(mark for mark in marks if mark not in self.forgotten and mark not in self.punched)

    def _comparable(self, marks: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(mark for mark in marks if mark not in self.punched) if self.punched else marks

    def _is_open(self, mark: str, stream: str, seq: int) -> bool:
        if mark in self.forgotten or self._given_up(stream, seq):
            return False
        parked = {row.event_id for _, _, row in self._receiving.table("parked").values()}
        if any(event_id is not None and mark_of_id(event_id) == mark for event_id in parked):
            return False  # what comes late may find its key held up
        return not any(mark in row.marks for row in self._receiving.table("effect").values())

    def _given_up(self, stream: str, seq: int) -> bool:
        holes = self._receiving.table("hole").values()
        return any(hole.given_up and hole.stream == stream and hole.first_seq <= seq <= hole.last_seq for hole in holes)

    def _hold(self, rule: str, holds: bool, otherwise: Any) -> None:
        if not holds:
            self.found.append(f"{rule}: {otherwise}")
            raise Violation(self.found[-1])
