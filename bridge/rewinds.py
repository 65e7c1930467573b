"""Which sender goes back, and how far: the memory of one bridge about the streams that were open here. Nothing durable.

A portal that misses events says where it stands (Standing). The bridge with the live session judges that, and orders a
Rewind of all bridges; whichever gets the sender's next HELLO answers with it as its watermark. The sender then does
what it does with any receiver: it goes back, or finds that it has lost history itself and begins a new epoch.

Laws of this file:
- Without an order a bridge has no watermark to tell, and the sender goes on after what it knows to be acknowledged.
- Save one that is behind what a bridge remembers of it, which it has heard itself or from the others: it was restored
  to an older state, and is told so before it has stamped anything.
- A watermark is told only to send a sender back, or to show it that it is behind. Never to have it pass over events
  that it has not sent: hence the judge must know what has been acknowledged, and else does nothing.
- An order counts once in each bridge, for ORDER_S, and only if it still is what it was meant to be.
- A request is answered by what is known now: one that is late or repeated costs a session at most.
"""

from dataclasses import dataclass

from ticketflow.events.replay import Rewind, Seen, Standing, StreamPosition
from ticketflow.feed import Hello, Position

ORDER_S = 30.0  # a sender that was let go connects again within 50 ms, or is away
QUIET_S = 2.0  # a sender that was welcomed and sends nothing for so long has nothing that is not acknowledged
JUST_S = 5.0  # later, the position of a session that is over would be old news
NOTICE_EVERY_S = 60.0  # how late a portal without any traffic learns that it has lost its newest events
NOTHING = Position(None, None)


@dataclass
class _Session:
    hello: Hello
    began_at: float
    resumed_after: int | None
    acked: int | None = None  # what the sender knows to be acknowledged, at least; None until it has sent something
    seen: int = 0  # the last seq it has sent here
    noticed_at: float | None = None  # when its position was last published


class Rewinds:
    """``now`` is any clock that never goes back, in seconds."""

    def __init__(self, notice_every_s: float = NOTICE_EVERY_S) -> None:
        self._notice_every_s = notice_every_s
        self._seen: dict[str, tuple[int, int]] = {}  # (epoch, the highest seq that the sender is known to have given)
        self._told: dict[str, tuple[int, int]] = {}  # what the other bridges know of that
        self._sessions: dict[str, _Session] = {}  # the newest of each stream, though it may be over
        self._orders: dict[str, tuple[Rewind, float]] = {}  # until when

    def opened(self, hello: Hello, now: float) -> Position:
        """What to tell a sender that has said HELLO."""
        position = self._answer(hello, now)
        self._sessions[hello.stream] = _Session(hello, now, position.watermark)
        self._remember(hello.stream, hello.epoch, hello.last_seq)
        return position

    def received(self, hello: Hello, first_seq: int, last_seq: int) -> None:
        """The sender has sent these: it knows all before ``first_seq`` to be acknowledged."""
        session = self._of(hello)
        if session is not None:
            session.seen = max(session.seen, last_seq)
            self._remember(hello.stream, hello.epoch, last_seq)
            if session.acked is None:
                session.acked = first_seq - 1

    def confirmed(self, hello: Hello, seq: int) -> None:
        session = self._of(hello)
        if session is not None:
            session.acked = seq

    def judged(self, standing: Standing, now: float) -> Rewind | None:
        """What to order so that the portal gets what it misses; None when its sender will bring it anyway, or when
        nothing is known for sure: then the portal asks again."""
        session = self._sessions.get(standing.stream)
        if session is None or session.hello.epoch > standing.epoch:
            return None  # it has begun a new epoch: its position says so, and the portal follows
        if session.hello.epoch < standing.epoch or standing.highest > max(session.hello.last_seq, session.seen):
            return _order(standing, standing.highest, ahead=True)
        acked = session.acked
        if acked is None and now >= session.began_at + QUIET_S:
            acked = session.hello.last_seq
        if acked is None or standing.watermark >= acked:
            return None
        return _order(standing, standing.watermark, ahead=False)

    def ordered(self, rewind: Rewind, now: float) -> None:
        """Remember it for the next HELLO."""
        self._orders[rewind.stream] = (rewind, now + ORDER_S)

    def overheard(self, seen: Seen) -> None:
        """Another bridge, or this one, said so."""
        self._remember(seen.stream, seen.epoch, seen.last_seq)
        if self._seen.get(seen.stream) == (seen.epoch, seen.last_seq):
            self._told[seen.stream] = (seen.epoch, seen.last_seq)

    def untold(self) -> list[Seen]:
        """What the other bridges may not know."""
        return [
            Seen(stream=stream, epoch=epoch, last_seq=last_seq)
            for stream, (epoch, last_seq) in self._seen.items()
            if self._told.get(stream) != (epoch, last_seq)
        ]

    def begun(self, now: float) -> list[str]:
        """Streams of which a session has just begun here, even if it is over again."""
        return [stream for stream, session in self._sessions.items() if now < session.began_at + JUST_S]

    def notice(self, stream: str, now: float) -> StreamPosition | None:
        """The position to publish, when one is due: at a session's begin, and from time to time."""
        session = self._sessions.get(stream)
        if session is None or (session.noticed_at is not None and now < session.noticed_at + self._notice_every_s):
            return None
        hello = session.hello
        return StreamPosition(
            stream=stream,
            epoch=hello.epoch,
            last_seq=max(hello.last_seq, session.seen),
            forks=[(epoch, after) for epoch, after in hello.forks],
            resumed_after=session.resumed_after if session.noticed_at is None else None,
        )

    def noticed(self, stream: str, now: float) -> None:
        """The broker has confirmed the notice."""
        session = self._sessions.get(stream)
        if session is not None:
            session.noticed_at = now

    def _of(self, hello: Hello) -> _Session | None:
        session = self._sessions.get(hello.stream)
        return session if session is not None and session.hello is hello else None

    def _remember(self, stream: str, epoch: int, last_seq: int) -> None:
        self._seen[stream] = max((epoch, last_seq), self._seen.get(stream, (0, 0)))

    def _answer(self, hello: Hello, now: float) -> Position:
        rewind, until = self._orders.pop(hello.stream, (None, now))
        if self._seen.get(hello.stream, (0, 0)) > (hello.epoch, hello.last_seq):
            return Position(*self._seen[hello.stream])
        if rewind is None or now >= until:
            return NOTHING
        ahead = rewind.epoch > hello.epoch or (rewind.epoch == hello.epoch and rewind.watermark > hello.last_seq)
        if rewind.epoch < hello.epoch or rewind.ahead != ahead:
            return NOTHING  # a new epoch, or more events stamped, meanwhile: it must not pass over any of them
        return Position(rewind.epoch, rewind.watermark)


def _order(standing: Standing, watermark: int, *, ahead: bool) -> Rewind:
    return Rewind(stream=standing.stream, epoch=standing.epoch, watermark=watermark, ahead=ahead)
