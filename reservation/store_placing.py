"""The SQL of placing holds: calls of decide_and_tell (schema/0009), each of them a transaction by itself.

Requests that queue up in this process are decided together, each on its own (see batching.py). One that has its
neighbours wait, or harms them, is decided alone, and patiently:

| what came out | what is done |
|---|---|
| a decision | it is the answer |
| others have their hands on the places | together with the next ones, at once; after CONTENDED_MAX times alone |
| deadlock, serialization failure | all of them again |
| the store takes no writes, and said so before | all of them again, once, if that took no time |
| it was not answered | each alone: the key knows whether it was done |
| a lock or the statement took too long; any other error | each alone: it may be the fault of one of them |
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from asyncpg import Record

from reservation.batching import Batcher
from reservation.bodies import Line
from reservation.metrics import ALONE, CONTENDED
from reservation.refusals import Refused
from reservation.telling import telling
from reservation.wishes import Wish
from ticketflow.delivery import Outbox
from ticketflow.events import new_id
from ticketflow.runtime.correlation import Correlation, current_correlation
from ticketflow.runtime.errors import Blocked, Indefinite, Retryable, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.retry import retrying

FLUSHERS = 3  # one does it all, unless it is stuck or more wait than it can take
PACE_S = 0.016  # a step, while buyers come within so long of one another: so that many cost what one does
PACE_S_MAX = 0.032  # where the machine is so full that a batch takes more than a quarter of PACE_S
ENOUGH = 10  # together cost little more each than twice as many would: nobody waits for these any longer
PATIENCE_S = 0.02  # a batch takes less, unless it waits for a key, a COMMIT or a machine that is full
TOGETHER_MAX = 32  # from there on a request costs no less, and its neighbours wait longer for it
QUEUE_MAX = 2048  # what is worked off in a second or two
QUEUE_WAIT_S = 2.0  # as long as the pool has a caller wait for a connection
DECIDE = "SELECT * FROM decide_and_tell($1::hold_request[], $2, $3, $4, $5)"
CONTENDED_MAX = 2  # who has them has decided by then, unless it stands still
ALONE_MAX = 5
SOON_S = 1.0  # a connection that was found broken at once is replaced at once; else the store is away

log = get_logger("placing")

_lines = msgspec.json.Decoder(list[Line])
_encoder = msgspec.json.Encoder()


class Request(NamedTuple):
    """A wish under its Idempotency-Key. ``fingerprint``: of the whole request, 32 bytes."""

    wish: Wish
    key: str
    fingerprint: bytes


class Placed(NamedTuple):
    """The hold that answers a request. ``row``: of decide_and_tell."""

    row: Record
    lines: list[Line]
    replayed: bool


class Denied(NamedTuple):
    refused: Refused
    replayed: bool


Decision = Placed | Denied


class Asked(NamedTuple):
    """A request, and under what ids its event is told: those of whoever asked, not of who flushes."""

    request: Request
    correlation: Correlation


class Alone(Exception):
    """To be decided alone. ``unknown``: it may have been done already."""

    def __init__(self, reason: str, *, unknown: bool = False) -> None:
        super().__init__(reason)
        self.unknown = unknown


class Placing:
    """Places holds. Safe in any number of replicas.

    ``flushing``: of FLUSHERS connections at least, which nobody else uses: who is decided together waits for no reader.
    """

    def __init__(self, pool: PostgresPool, outbox: Outbox[Connection], flushing: PostgresPool | None = None) -> None:
        self._pool = pool
        self._flushing = flushing or pool
        self._outbox = outbox
        self._batcher: Batcher[Asked, Decision | None] = Batcher(
            "placing",
            self._decide_together,
            flushers=FLUSHERS,
            batch_max=TOGETHER_MAX,
            queue_max=QUEUE_MAX,
            patience_s=PATIENCE_S,
            wait_s=QUEUE_WAIT_S,
            pace_s=PACE_S,
            pace_s_max=PACE_S_MAX,
            enough=ENOUGH,
            whose=lambda asked: asked.request.wish.buyer_id,
        )

    async def place(self, request: Request) -> Decision:
        """The one decision on the request's key, made now or earlier; committed.

        Raises TooBusy, Unavailable, Indefinite.
        """
        asked = Asked(request, current_correlation())
        try:
            for attempt in range(CONTENDED_MAX):
                decision = await self._batcher.ask(asked, again=attempt > 0)
                if decision is not None:
                    return decision
                CONTENDED.inc()
        except Alone as alone:
            return await self._decide_alone(asked, str(alone), unknown=alone.unknown)
        return await self._decide_alone(asked, "contended", unknown=False)

    async def drain(self) -> None:
        """Returns when all that was asked has been answered."""
        await self._batcher.drain()

    async def _decide_together(self, batch: Sequence[Asked]) -> Sequence[Decision | Exception | None]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            try:
                return await retrying(lambda: self._attempt(self._flushing, batch, patient=False))
            except Unavailable as fault:
                if isinstance(fault, Retryable | Blocked) or loop.time() - began > SOON_S:
                    raise
                return await self._attempt(self._flushing, batch, patient=False)
        except Indefinite as fault:
            log.warning("commit_unknown", requests=len(batch), error=str(fault))
            return [Alone("commit_unknown", unknown=True) for _ in batch]
        except (Retryable, Blocked) as fault:
            log.info("batch_blocked", requests=len(batch), error=str(fault))
            return [Alone("blocked") for _ in batch]
        except Unavailable as fault:
            return [Unavailable(str(fault)) for _ in batch]
        except Exception as error:
            log.warning("batch_failed", requests=len(batch), exc_info=error)
            return [Alone("failed") for _ in batch]

    async def _decide_alone(self, asked: Asked, reason: str, *, unknown: bool) -> Decision:
        """In a transaction of its own, which waits for the places. ``unknown``: it may have been done already."""
        ALONE.labels(reason).inc()

        async def attempt() -> Decision:
            [decision] = await self._attempt(self._pool, [asked], patient=True)
            if decision is None:
                raise Retryable("other buyers have their hands on the last of these places")
            return decision

        try:
            try:
                return await retrying(attempt, attempts=ALONE_MAX)
            except Indefinite:
                # The key knows. Asked again on another connection, it gives the answer, or the request is decided now.
                log.warning("commit_unknown", key=asked.request.key)
                unknown = True
                return await retrying(attempt, attempts=ALONE_MAX)
        except Unavailable as fault:
            if unknown:
                raise Indefinite(f"it may have been done, and then: {fault}") from fault
            raise

    async def _attempt(self, pool: PostgresPool, batch: Sequence[Asked], *, patient: bool) -> list[Decision | None]:
        """One transaction; None for what is contended. Stages hold.placed for every new hold."""
        rows, tellings = [], []
        for asked in batch:
            hold_id, wish = new_id(), asked.request.wish
            rows.append(_row(hold_id, asked.request))
            tellings.append(telling(hold_id, wish.event_id, wish.buyer_id, asked.correlation))
        event_ids, heads = zip(*tellings, strict=True)
        decided = await pool.single(DECIDE, rows, patient, self._outbox.stream, event_ids, heads)
        decisions = [_decision(row) for row in decided]
        self._outbox.notify()
        return decisions


def _row(hold_id: str, request: Request) -> tuple[object, ...]:
    """A hold_request. ``hold_id`` is fresh: a second attempt must not take the first one's row for its own."""
    wish = request.wish
    general = "[]"
    if wish.general:
        wanted = [{"tier": tier, "quantity": quantity} for tier, quantity in wish.general.items()]
        general = _encoder.encode(wanted).decode()
    return (
        hold_id,
        wish.event_id,
        wish.buyer_id,
        request.key,
        request.fingerprint,
        wish.seats,
        general,
        wish.late,
    )


def _decision(row: Record) -> Decision | None:
    if row["matches"] is None:
        return None
    replayed = not row["claimed"]
    if not row["matches"]:
        return Denied(Refused("idempotency_mismatch"), replayed=False)
    if row["refusal"] is not None:
        return Denied(Refused(**msgspec.json.decode(row["refusal"])), replayed)
    return Placed(row, _lines.decode(row["lines"]), replayed)
