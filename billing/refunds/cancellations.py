"""The refund of a whole event: asked for, paused, gone on with, and done order by order.

Laws:
- The job goes through the event's orders by their ids, page by page, each order in a transaction of its own; then it
  remembers where it is. Killed anywhere it looks at a page again, and finds that those orders have no good ticket.
- An order that is still being paid is met in a later pass. The job is done when in one moment no order is pending, no
  ticket is good, and no refund of the job is under way; refused ones are for a person.
- Tickets die as fast as the store allows; the money follows as fast as the provider may be asked (paying_back.py).
  PAUSED stops both.
- One job an event that is not done. Nobody stops new holds here: reservation's close does.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from billing.orders.changes import repeated
from billing.refunds.deciding import REFUNDS, Refunds
from billing.refunds.paying_back import FAILED
from billing.refunds.rules import Refusal, Wish
from billing.refunds.shapes import CancelBody, CancellationView
from billing.store import cancellations, keys
from billing.store.cancellations import DONE, PAUSED, RUNNING, AlreadyRunning, Job, Met
from billing.store.keys import Answer, KeyTaken
from billing.store.times import to_utc
from ticketflow.delivery.outbox import Outbox
from ticketflow.events import new_id
from ticketflow.runtime import metrics
from ticketflow.runtime.correlation import bind_correlation
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.problem import Problem

SCAN = 1000  # orders looked at for a page, since most have no good ticket any more in later passes
PAGE = 50  # orders to be refunded in it, each in a transaction of its own: some 0.5 s
TAKEN_FOR_S = 10  # of a page; a killed worker's job waits no longer, and two at once do no harm
PASS_PAUSE_S = (2, 60)
JOBS_MAX = 8
STARTED = 202

CANCELLATIONS = metrics.gauge("billing_cancellations", "Refunds of whole events that are not done.", ("state",))

log = get_logger("cancellations")


class Cancellations:
    """For whoever asks for them, by the API."""

    def __init__(self, pool: MariaDBPool) -> None:
        self._pool = pool

    async def begin(self, event_id: str, key: str, fingerprint: bytes, body: CancelBody) -> tuple[Answer, bool]:
        """The answer, and whether it was given before. Raises Problem, Unavailable, Indefinite (repeat with the same
        key)."""
        job_id, scope = new_id(), f"cancel:{event_id}"

        async def attempt() -> Answer:
            async with self._pool.transaction() as conn:
                await keys.claim(conn, scope, key, fingerprint, job_id)
                if not await cancellations.event_known(conn, event_id):
                    raise Problem(404, "event_unknown", "nobody has ever ordered anything of this event")
                await cancellations.insert(conn, job_id, event_id, body.reason, body.seats_back)
                job = await cancellations.latest(conn, event_id)
                assert job is not None, "it has just been written"
                answer = Answer(STARTED, msgspec.json.encode(_view(job, await cancellations.progress(conn, job))))
                await keys.settle(conn, job_id, answer)
                return answer

        try:
            answer = await repeated(attempt)
        except AlreadyRunning as error:
            raise Problem(409, "cancellation_running", "this event is being refunded already") from error
        except KeyTaken:
            async with self._pool.acquire() as conn:
                claimed = await keys.find(conn, scope, key)
            if claimed is None or claimed.answer is None:
                raise Problem(409, "cancellation_running", "another request with this key is under way") from None
            if claimed.fingerprint != fingerprint:
                detail = "this Idempotency-Key was used for another request"
                raise Problem(422, "idempotency_mismatch", detail) from None
            return claimed.answer, claimed.payment_id != job_id
        log.info("cancellation_begun", job_id=job_id, event_id=event_id)
        return answer, False

    async def read(self, event_id: str) -> CancellationView:
        """The last one of the event. Raises Problem."""
        async with self._pool.acquire() as conn:
            job = await cancellations.latest(conn, event_id)
            if job is None:
                raise Problem(404, "cancellation_unknown", "this event has never been cancelled here")
            return _view(job, await cancellations.progress(conn, job))

    async def pause(self, event_id: str) -> CancellationView:
        return await self._set(event_id, RUNNING, PAUSED)

    async def resume(self, event_id: str) -> CancellationView:
        return await self._set(event_id, PAUSED, RUNNING)

    async def _set(self, event_id: str, before: str, after: str) -> CancellationView:
        """May be repeated. Raises Problem."""
        job = await self.read(event_id)
        if job.state == DONE:
            raise Problem(409, "cancellation_done", "it is done already")

        async def attempt() -> None:
            async with self._pool.transaction() as conn:
                await cancellations.set_state(conn, job.job_id, before, after)

        await repeated(attempt)
        log.info("cancellation_set", job_id=job.job_id, event_id=event_id, state=after)
        return await self.read(event_id)


class CancellationWorker:
    """Looks at one page of each job that is due."""

    def __init__(self, pool: MariaDBPool, refunds: Refunds, outbox: Outbox[Any]) -> None:
        self._pool = pool
        self._refunds = refunds
        self._outbox = outbox

    async def run_once(self) -> int:
        """How many jobs were due. Raises Unavailable, Indefinite."""
        async with self._pool.acquire() as conn:
            jobs = await cancellations.due(conn, JOBS_MAX)
        for job in jobs:
            await self._page(job)
        return len(jobs)

    async def _page(self, job: Job) -> None:
        async def taken() -> bool:
            async with self._pool.transaction() as conn:
                return await cancellations.take(conn, job, TAKEN_FOR_S)

        if not await repeated(taken):
            return
        async with self._pool.acquire() as conn:
            page = first_page(await cancellations.scan(conn, job, SCAN))
        with bind_correlation(job.job_id):
            for met in page:
                if met.good_ticket:
                    await self._one(job, met)
        self._outbox.notify()
        pending = sum(met.pending for met in page)

        async def advance() -> None:
            async with self._pool.transaction() as conn:
                if page:
                    await cancellations.advance(conn, job, page[-1].order_id, pending)
                else:
                    await cancellations.end_pass(conn, job, pause_s(job.passes))

        await repeated(advance)

    async def _one(self, job: Job, met: Met) -> None:
        """One that our own code cannot handle must not keep the others from their money: it is met in every pass."""
        try:
            await self._refund(job, met)
        except (Unavailable, Indefinite):
            raise
        except Exception:
            FAILED.inc()
            log.exception("cancellation_order_failed", job_id=job.job_id, order_id=met.order_id)

    async def _refund(self, job: Job, met: Met) -> None:
        """A ticket that has just been refunded otherwise is none of ours."""
        refund_id = new_id()

        async def attempt() -> bool:
            async with self._pool.transaction() as conn:
                decided = await self._refunds.decide(
                    conn,
                    refund_id,
                    met.order_id,
                    Wish(),
                    reason=job.reason,
                    seats_back=job.seats_back,
                    job_id=job.job_id,
                )
                return decided is not None and not isinstance(decided, Refusal)

        if await repeated(attempt):
            REFUNDS.labels("requested").inc()


class CancellationWatch:
    """Tells Prometheus how many jobs there are. Never has more to do at once."""

    def __init__(self, pool: MariaDBPool) -> None:
        self._pool = pool

    async def run_once(self) -> int:
        async with self._pool.acquire() as conn:
            jobs = await cancellations.by_state(conn)
        for state in (RUNNING, PAUSED):
            CANCELLATIONS.labels(state).set(jobs.get(state, 0))
        return 0


def first_page(scanned: Sequence[Met]) -> Sequence[Met]:
    """Up to the last of PAGE orders that have a good ticket."""
    good = [place for place, met in enumerate(scanned) if met.good_ticket]
    return scanned if len(good) <= PAGE else scanned[: good[PAGE - 1] + 1]


def pause_s(passes: int) -> int:
    """Before the next pass: what it waits for, buyers who pay and the provider, takes minutes."""
    return min(PASS_PAUSE_S[0] << min(passes, 10), PASS_PAUSE_S[1])


def _view(job: Job, progress: cancellations.Progress) -> CancellationView:
    return CancellationView(
        job_id=job.job_id,
        event_id=job.event_id,
        state=job.state,  # type: ignore[arg-type]
        reason=job.reason,
        seats_back=job.seats_back,
        passes=job.passes,
        created_at=to_utc(job.created_at),
        changed_at=to_utc(job.changed_at),
        **asdict(progress),
    )
