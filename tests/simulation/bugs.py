"""The classic bugs of such systems, planted from outside: the product has no switch for any of them.

Each is a way to build the simulated parts wrongly, or a patch of named seams of the product for the time of one run.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from unittest.mock import patch

from tests.simulation.dialect import MemoryDialect
from tests.simulation.session import Session
from ticketflow.delivery import resume
from ticketflow.delivery.application import Application
from ticketflow.delivery.dialect import Arrival, InboxState, StreamState
from ticketflow.delivery.items import Item
from ticketflow.delivery.lease import Lease
from ticketflow.delivery.ledger import Ledger
from ticketflow.delivery.resume import Forking, Resume
from ticketflow.feed import Hello, Peer, Position, Receiver
from ticketflow.feed.messages import Events
from ticketflow.feed.receiving import ReceiverProtocol


class Bug:
    """No bug: everything as it is."""

    name = "none"

    def dialect(self) -> MemoryDialect:
        return MemoryDialect()

    def receiver(self, inbox: Receiver) -> Receiver:
        return inbox

    @contextmanager
    def planted(self) -> Iterator[None]:
        yield


class AckBeforeCommit(Bug):
    """A batch is acknowledged as soon as it has arrived, and applied after that."""

    name = "ack-before-commit"

    def receiver(self, inbox: Receiver) -> Receiver:
        return _AcksFirst(inbox)


class _AcksFirst:
    def __init__(self, inbox: Receiver) -> None:
        self._inbox = inbox
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        return await self._inbox.hello(hello, peer)

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        task = asyncio.create_task(self._later(hello, first_seq, bodies))
        self._tasks.add(task)
        return first_seq + len(bodies) - 1

    async def _later(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> None:
        with suppress(Exception):
            async with self._turn:
                await self._inbox.apply(hello, first_seq, bodies)


class DedupBySeq(Bug):
    """An event is known when its seq is not above the watermark; its id is not looked at."""

    name = "dedup-by-seq"

    def dialect(self) -> MemoryDialect:
        return _KnowsNoIds()


class _KnowsNoIds(MemoryDialect):
    async def record(self, conn: Session, stream: str, arrivals: Sequence[Arrival]) -> set[str]:
        await super().record(conn, stream, arrivals)
        return {arrival.event_id for arrival in arrivals}


class NoFencing(Bug):
    """A relay that once got the lease goes on, whoever has it now."""

    name = "no-fencing"

    @contextmanager
    def planted(self) -> Iterator[None]:
        async def hold(_lease: Lease[Any], _conn: Any) -> None:
            pass

        async def keep(_lease: Lease[Any]) -> None:
            await asyncio.Event().wait()

        with (
            patch.object(Lease, "hold", hold),
            patch.object(Lease, "check", lambda lease: lease.token),
            patch.object(Lease, "keep", keep),
        ):
            yield


class NoRewind(Bug):
    """The sender goes on after the last ack, although the receiver has gone back behind it."""

    name = "no-rewind"

    @contextmanager
    def planted(self) -> Iterator[None]:
        real = resume.decide

        def decide(stream: str, sender: StreamState, *facts: int | None, lane: int = 0) -> Any:
            decided = real(stream, sender, *facts, lane=lane)
            return decided if isinstance(decided, Forking) else Resume(max(decided.after_seq, sender.acked_seq))

        with patch("ticketflow.delivery.relay.decide", decide):
            yield


class GapAccepted(Bug):
    """Whatever comes is applied, and the watermark is the seq of what came last."""

    name = "gap-accepted"

    def dialect(self) -> MemoryDialect:
        return _TakesAnyWatermark()

    @contextmanager
    def planted(self) -> Iterator[None]:
        first: dict[int, int] = {}  # by application: the seq it is called with
        real_run, real_position = Application.run, Application._position
        real_without_repeats = ReceiverProtocol._without_repeats

        async def run(application: Application[Any], hello: Hello, items: Sequence[Item], *rest: Any, **kw: Any) -> Any:
            first[id(application)] = items[0].seq
            return await real_run(application, hello, items, *rest, **kw)

        async def position(application: Application[Any], conn: Any, hello: Hello) -> InboxState:
            state = await real_position(application, conn, hello)
            return state._replace(watermark=max(state.watermark, first[id(application)] - 1))

        def without_repeats(protocol: ReceiverProtocol, message: Events) -> Events | None:
            if protocol.received is not None and message.first_seq > protocol.received:
                return message
            return real_without_repeats(protocol, message)

        with ExitStack() as patches:
            patches.enter_context(patch.object(Application, "run", run))
            patches.enter_context(patch.object(Application, "_position", position))
            patches.enter_context(patch.object(ReceiverProtocol, "_without_repeats", without_repeats))
            yield


class _TakesAnyWatermark(MemoryDialect):
    async def advance_inbox(self, conn: Session, stream: str, from_seq: int, to_seq: int) -> bool:
        row = await self._position_of(conn, stream)
        conn.put("position", stream, row._replace(watermark=to_seq))
        return True


class WatermarkOutside(Bug):
    """The watermark is saved by a connection of its own, just before the effects are committed."""

    name = "watermark-outside"

    def dialect(self) -> MemoryDialect:
        return _SavesWatermarkBeside()


class _SavesWatermarkBeside(MemoryDialect):
    async def advance_inbox(self, conn: Session, stream: str, from_seq: int, to_seq: int) -> bool:
        row = await self._position_of(conn, stream)
        conn.database.autocommit(conn, "position", stream, row._replace(watermark=to_seq))
        return row.watermark == from_seq


class NoBarrier(Bug):
    """What a barrier requires is not looked at, by neither end."""

    name = "no-barrier"

    @contextmanager
    def planted(self) -> Iterator[None]:
        def missing(_requires: Any, _positions: Any) -> dict[str, tuple[int, int]]:
            return {}

        with (
            patch("ticketflow.delivery.lanes_gate.missing", missing),
            patch("ticketflow.delivery.application.missing", missing),
        ):
            yield


class OldLanes(Bug):
    """A relay goes on stamping for the number of lanes that its session began with, whatever is in the row it locks."""

    name = "old-lanes"

    @contextmanager
    def planted(self) -> Iterator[None]:
        real = Ledger._stamp

        async def stamp(ledger: Ledger[Any], conn: Any, state: StreamState, rows_max: int) -> Any:
            assert ledger._seen is not None
            return await real(ledger, conn, state._replace(lanes=ledger._seen.lanes), rows_max)

        with patch.object(Ledger, "_stamp", stamp):
            yield


BUGS: dict[str, Bug] = {
    bug.name: bug
    for bug in (
        AckBeforeCommit(),
        DedupBySeq(),
        NoFencing(),
        NoRewind(),
        GapAccepted(),
        WatermarkOutside(),
        NoBarrier(),
        OldLanes(),
    )
}
