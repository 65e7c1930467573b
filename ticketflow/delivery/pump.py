"""One session of a relay: events out, acks in.

Laws:
- An event is sent only after its stamp is committed, and only while the lease may be relied on.
- What is in memory is bounded: one read of the outbox here, the window in the feed.
- A wake-up is never lost: ``wake`` is cleared before looking, never after.
- What comes alone is stamped at once. What comes soon after it waits until PACE_S are over, in company: a transaction
  here costs as much for a dozen events as for one, and so do those of everybody behind us. Where several processes
  stage in step, what the first of them has committed waits ``gather_s`` for the others.
"""

import asyncio
from typing import Generic, NoReturn

from ticketflow.delivery import metrics
from ticketflow.delivery.dialect import ConnT, OutboxRow
from ticketflow.delivery.lease import Lease
from ticketflow.delivery.ledger import ROWS_MAX, Ledger
from ticketflow.delivery.polling import Polling
from ticketflow.delivery.racing import first_of
from ticketflow.delivery.resume import Resume
from ticketflow.feed import SenderSession

ACK_WAIT_S = 60.0  # only how often an idle task turns round
# A receiver that is restored to an older state while nothing flows would only be noticed at the next event: a session
# that has been idle for so long ends, and the next HELLO asks for the watermark again.
RECHECK_S = 60.0
# With several lanes another one may have met that receiver already, and wait at a barrier for this one to go back.
LANES_RECHECK_S = 10.0
PACE_S = 0.016  # between the beginnings of two stamps, unless more wait than one takes
BUSY_S = 0.05  # for so long after it might have stamped again it takes what comes for a part of many
MARK_EVERY_S = 0.25  # an ack is noted this often at most; a lost note costs a resend that the receiver drops


class Pump(Generic[ConnT]):
    """Moves the events of one stream over ``session``, until either ends. ``last_seq``: the last one stamped."""

    def __init__(
        self,
        ledger: Ledger[ConnT],
        lease: Lease[ConnT],
        session: SenderSession,
        wake: asyncio.Event,
        resume: Resume,
        last_seq: int,
        polling: Polling,
        gather_s: float = 0.0,
    ) -> None:
        self._gather_s = gather_s
        self._ledger = ledger
        self._lease = lease
        self._session = session
        self._wake = wake
        self._polling = polling
        self._sent = resume.after_seq
        self._last = last_seq
        self._marked = resume.after_seq
        self.progressed = False  # whether the receiver acknowledged anything in this session
        self._stream = ledger.stream
        self._stamp_at = float("-inf")  # not before, by the loop's clock
        self._full = False  # the last stamp took as much as one takes: there may be more

    async def run(self) -> None:
        """Returns when the session should be renewed.

        Raises LeaseLost, RewindImpossible, the feed's errors, Unavailable or Indefinite.
        """
        await first_of(self._send(), self._note_acks())

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        busy_at, woken = loop.time(), True
        while self._sent > self._marked or loop.time() < busy_at + self._recheck_s:
            rows: list[OutboxRow] = []
            if all_sent := self._sent >= self._last:
                await self._keep_pace()
            self._wake.clear()
            if all_sent:
                rows = await self._stamp(woken)
            upto = await self._ledger.gate.upto(self._sent, self._last)
            if not rows or rows[0].seq != self._sent + 1 or rows[-1].seq > upto:
                rows = await self._ledger.read(self._sent, upto)
            if rows:
                self._lease.check()
                await self._session.send(rows[0].seq, [row.body for row in rows])
                self._sent = rows[-1].seq
                metrics.SENT.labels(self._stream).inc(len(rows))
                self._polling.busy()
                busy_at, woken = loop.time(), True
            if not rows or (self._sent >= self._last and not self._full):
                woken = await self._woken(self._polling.next_s())

    @property
    def _recheck_s(self) -> float:
        return RECHECK_S if self._ledger.lanes == 1 else LANES_RECHECK_S

    async def _keep_pace(self) -> None:
        now = asyncio.get_running_loop().time()
        pause_s = self._stamp_at - now
        if not self._full and now < self._stamp_at + BUSY_S:
            pause_s = max(pause_s, self._gather_s)
        if pause_s > 0:
            await asyncio.sleep(pause_s)

    async def _stamp(self, woken: bool) -> list[OutboxRow]:
        """What was stamped now. Who was told of work does not look first whether there is any."""
        if not woken and not await self._ledger.has_unstamped():
            self._full = False
            return []
        began = asyncio.get_running_loop().time()
        stamped = await self._ledger.stamp()
        self._full = len(stamped.rows) == ROWS_MAX
        if stamped.last_seq > self._last:
            self._polling.found(woken=woken)
            metrics.STAMPED.labels(self._stream).inc(stamped.last_seq - self._last)
            self._last = stamped.last_seq
            self._stamp_at = began + (0.0 if self._full else PACE_S)
        return stamped.rows

    async def _woken(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def _note_acks(self) -> NoReturn:
        while True:
            acked = await self._session.wait_ack(ACK_WAIT_S)
            if acked is not None and acked > self._marked:
                self.progressed = True
                await self._mark(acked)
                await asyncio.sleep(MARK_EVERY_S)

    async def note_last_ack(self) -> None:
        """After the session: what was acknowledged and not noted yet."""
        acked = self._session.acked
        if acked is not None and acked > self._marked:
            await self._mark(acked)

    async def _mark(self, acked: int) -> None:
        await self._ledger.mark_acked(acked)
        self._marked = acked
        metrics.ACKED_SEQ.labels(self._stream).set(acked)
