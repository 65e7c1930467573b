"""One session of a relay: events out, acks in.

Laws:
- An event is sent only after its stamp is committed, and only while the lease may be relied on.
- What is in memory is bounded: one read of the outbox here, the window in the feed.
- A wake-up is never lost: ``wake`` is cleared before looking, never after.
"""

import asyncio
from typing import Generic, NoReturn

from ticketflow.delivery import metrics
from ticketflow.delivery.dialect import ConnT
from ticketflow.delivery.lease import Lease
from ticketflow.delivery.ledger import Ledger
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
MARK_EVERY_S = 0.1  # an ack is noted this often at most; a lost note costs a resend that the receiver drops


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
    ) -> None:
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

    async def run(self) -> None:
        """Returns when the session should be renewed.

        Raises LeaseLost, RewindImpossible, the feed's errors, Unavailable or Indefinite.
        """
        await first_of(self._send(), self._note_acks())

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        busy_at, woken = loop.time(), True
        while self._sent > self._marked or loop.time() < busy_at + self._recheck_s:
            self._wake.clear()
            if self._sent >= self._last and await self._ledger.has_unstamped():
                self._polling.found(woken=woken)
                await self._stamp()
            rows = await self._ledger.read(self._sent, await self._ledger.gate.upto(self._sent, self._last))
            if rows:
                self._lease.check()
                await self._session.send(rows[0].seq, [row.body for row in rows])
                self._sent = rows[-1].seq
                metrics.SENT.labels(self._stream).inc(len(rows))
                self._polling.busy()
                busy_at, woken = loop.time(), True
            else:
                woken = await self._woken(self._polling.next_s())

    @property
    def _recheck_s(self) -> float:
        return RECHECK_S if self._ledger.lanes == 1 else LANES_RECHECK_S

    async def _stamp(self) -> None:
        last_seq = await self._ledger.stamp()
        metrics.STAMPED.labels(self._stream).inc(last_seq - self._last)
        self._last = last_seq

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
