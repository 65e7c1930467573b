"""The relay of one stream, or of one lane of it (see relays.py): lease, session, pump, again and again.

Laws:
- Nothing here gives up: whatever ends a session or the lease is logged once, waited out with jitter, and tried again.
- A fault of the stream itself (history lost, rewind impossible) is not forced: nothing is sent, an error is logged, and
  the relay keeps asking, slowly, until an operator has settled it.
"""

import asyncio
import ssl as ssl_module
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, NoReturn

from ticketflow.delivery import jitter, metrics
from ticketflow.delivery.dialect import Backlog, ConnT, Dialect, Pool, StreamState
from ticketflow.delivery.errors import LeaseLost, StreamFault, StreamForked
from ticketflow.delivery.lanes import Lane
from ticketflow.delivery.lease import RELEASE_TIMEOUT_S, Lease
from ticketflow.delivery.ledger import Ledger
from ticketflow.delivery.polling import Polling
from ticketflow.delivery.pump import Pump
from ticketflow.delivery.racing import first_of
from ticketflow.delivery.resume import Forking, Resume, decide
from ticketflow.delivery.stats import watch
from ticketflow.feed import (
    VERSION,
    Address,
    Backoff,
    Code,
    FeedError,
    Hello,
    Limits,
    Refused,
    Rotation,
    SenderSession,
    Tls,
    connect,
)
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.log import get_logger

STREAM_FAULT_RETRY_S = (1.0, 30.0)  # a person has to act; the retry only notices that someone did
# A killed holder's successor begins 3 to 4 s later, unless the holder is back before: it takes its own lease at once.
# A holder that stood still for more than 2.4 s (SAFETY) must ask for it again, which costs a HELLO and nothing else.
LEASE_TTL_S = 3.0
STORE_RETRY_S = (0.05, 0.5)  # its pool refuses at once while the store is away: what comes after it must not wait long
LEASE_ASK_PER_TTL = 3  # how often a contender looks at a lease that another holds, and once more when it runs out
LEASE_OUT_S = 0.01  # how much later than that
LEASE_WAIT_TTLS = 1.0  # how much later one asks who leaves the lane to others, and twice that who has just let it go
ANNOUNCE_EVERY_S = 0.016  # at most: many commits share one announcement, as they share a stamp (see pump.py)
LAST_ACK_TIMEOUT_S = 1.0  # best effort when a session ends

log = get_logger("relay")


class Relay(Generic[ConnT]):
    """Delivers what is staged in ``stream`` to the receiver at ``addresses``. Run one in every replica: one relays,
    the others wait for its lease. ``owner`` names this process (1 to 64 characters), unique among the replicas.
    ``renewals``: a pool of the same store by which the lease is renewed, where ``pool`` may be full of others.
    ``gather_s``: for how long under load what was committed first waits for what others commit in step with it."""

    def __init__(
        self,
        pool: Pool[ConnT],
        dialect: Dialect[ConnT],
        *,
        stream: str,
        addresses: Sequence[Address],
        owner: str,
        ssl: ssl_module.SSLContext | Tls | None = None,
        limits: Limits | None = None,
        lease_ttl_s: float = LEASE_TTL_S,
        connect: Callable[..., Awaitable[SenderSession]] = connect,
        clock: Callable[[], float] = time.monotonic,
        lane: Lane | None = None,
        lease: str | None = None,
        renewals: Pool[ConnT] | None = None,
        gather_s: float = 0.0,
    ) -> None:
        self.stream = stream
        self._gather_s = gather_s
        self.waits = False  # whether to leave a free lease to the other replicas for a moment
        self.wake = asyncio.Event()  # set it when events were committed in this process: Outbox.wakes(relay.wake)
        self._work = asyncio.Event()  # something may wait in the outbox, whoever said so
        self._stirred = asyncio.Event()  # the same, for who only watches
        self._told = asyncio.Event()  # the same, for who waits for the lease
        self.backlog: Backlog | None = None  # as last looked at; None before the first look
        self._pool = pool
        self._dialect = dialect
        self._ssl = ssl
        self._limits = limits
        self._addresses = addresses
        self._connect = connect
        name = lease or f"relay:{stream}"
        self._lease = Lease(pool, dialect, name=name, owner=owner, ttl_s=lease_ttl_s, clock=clock, renewals=renewals)
        self._lane = lane or Lane(stream, 0)
        self._ledger = Ledger(pool, dialect, stream, self._lease, self._lane)
        self._let_go = asyncio.Event()
        self._polling = Polling(announced=dialect.announces, clock=clock)
        self._rotation = Rotation(addresses)
        self._backoff = Backoff(rng=jitter.rng)
        self._store_backoff = Backoff(*STORE_RETRY_S, rng=jitter.rng)
        self._fault_backoff = Backoff(*STREAM_FAULT_RETRY_S, rng=jitter.rng)
        self._trouble: str | None = None  # what was logged last and still holds

    @property
    def leading(self) -> bool:
        """Whether this process relays the stream now."""
        return self._lease.left_s > 0

    async def run(self) -> NoReturn:
        """Until cancelled; then the session says GOODBYE and the lease is let go."""
        async with self._dialect.listening(self._pool, self.stream, self.rouse):
            await first_of(self.run_lane(), self._pass_on())
        raise AssertionError("a relay's tasks never return")

    async def run_lane(self) -> NoReturn:
        """The same without an ear for ``wake`` and announcements: whoever has it calls ``rouse``."""
        await first_of(self._contend(), self._watch())
        raise AssertionError("a relay's tasks never return")

    def rouse(self) -> None:
        """Something may wait in the outbox."""
        for event in (self._work, self._stirred, self._told):
            event.set()

    def look_again(self, lanes: int) -> None:
        """There are ``lanes`` now, which may be news."""
        if self._ledger.lanes != lanes:
            self._ledger.look_again()
            self._work.set()

    def let_go(self) -> None:
        """End the session, let the lease go, and leave it to others for a while."""
        self._let_go.set()

    async def _pass_on(self) -> NoReturn:
        """A wake-up goes to the pump, or to the replica that relays.

        The announcement is not part of the transaction that staged: a NOTIFY makes its COMMIT, fsync included,
        wait for every other notifying COMMIT.
        """
        while True:
            await self.wake.wait()
            self.wake.clear()
            self._stirred.set()
            if self.leading:
                self._work.set()
            elif self._dialect.announces:
                with suppress(Unavailable, Indefinite):  # the poll is behind it
                    await self._announce()
                await asyncio.sleep(ANNOUNCE_EVERY_S)

    async def _announce(self) -> None:
        if self._dialect.announces:
            async with self._pool.acquire(plain=True) as conn:
                await self._dialect.announce(conn, self._lane.family)

    async def _contend(self) -> NoReturn:
        while True:
            self._told.clear()
            try:
                acquired = await self._lease.acquire()
            except (Unavailable, Indefinite) as fault:
                self._note_trouble("relay_waits_for_store", fault)
                await asyncio.sleep(self._store_backoff.next())
                continue
            self._store_backoff.reset()
            if acquired:
                await self._lead()
            wait_ttls = LEASE_WAIT_TTLS if self.waits else 2 * LEASE_WAIT_TTLS if self._let_go.is_set() else 0.0
            ask_s = self._lease.ttl_s * jitter.rng.uniform(0.5, 1.0) / LEASE_ASK_PER_TTL
            if self._lease.free_in_s > 0:
                ask_s = min(ask_s, self._lease.free_in_s + LEASE_OUT_S)
            await asyncio.sleep(self._lease.ttl_s * wait_ttls + ask_s)
            if self._dialect.announces:  # a holder tells when it lets go, and one that is gone lets it run out
                # What lanes_change.py blocks runs out in thousands of years, and nobody tells when it is handed on.
                await self._told_or_after(min(self._lease.free_in_s, self._lease.ttl_s) + LEASE_OUT_S - ask_s)

    async def _told_or_after(self, timeout_s: float) -> None:
        if timeout_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._told.wait()

    async def _lead(self) -> None:
        """With the lease, until it is lost."""
        metrics.LEASE_CHANGES.labels(self.stream, "acquired").inc()
        metrics.LEASE_HELD.labels(self.stream).set(1)
        log.info("lease_acquired", stream=self.stream, owner=self._lease.owner, token=self._lease.token)
        self._let_go.clear()
        try:
            await first_of(self._lease.keep(), self._serve(), self._let_go.wait())
            log.info("lease_let_go", stream=self.stream, owner=self._lease.owner)
        except LeaseLost as error:
            metrics.LEASE_CHANGES.labels(self.stream, "lost").inc()
            log.warning("lease_lost", stream=self.stream, reason=str(error))
        finally:
            metrics.LEASE_HELD.labels(self.stream).set(0)
            await self._lease.release()
            with suppress(Unavailable, Indefinite, TimeoutError):  # who waits for it looks when it would have run out
                async with asyncio.timeout(RELEASE_TIMEOUT_S):
                    await self._announce()

    async def _serve(self) -> NoReturn:
        while True:
            try:
                await self._session()
                continue  # it was only renewed
            except StreamFault as fault:
                metrics.STREAM_FAULTS.labels(self.stream, fault.action).inc()
                self._note_trouble(fault.action, fault, error=True)
                pause_s = self._fault_backoff.next()
            except Refused as refused:
                if refused.code == Code.FENCED:
                    raise LeaseLost(f"the receiver knows a newer token: {refused.reason}") from refused
                pause_s = self._pause(refused, self._backoff, refused.retry_after_s)
            except (Unavailable, Indefinite) as fault:
                pause_s = self._pause(fault, self._store_backoff)
            except FeedError as fault:
                pause_s = self._pause(fault, self._backoff)
            await asyncio.sleep(pause_s)

    async def _session(self) -> None:
        state = await self._ledger.state()
        forks = tuple(fork for fork in await self._ledger.forks() if fork[0] < state.epoch)
        hello = Hello(VERSION, self.stream, state.epoch, self._lease.check(), state.last_seq, self._lease.owner, forks)
        session = await self._connect(
            self._addresses, hello, ssl=self._ssl, limits=self._limits, rotation=self._rotation
        )
        try:
            welcome = session.welcome
            resume = decide(self.stream, state, welcome.epoch, welcome.watermark, lane=self._lane.number)
            if isinstance(resume, Forking):
                await self._fork(resume, state)
            await self._ledger.resume(resume)
            self._welcomed(session, resume)
            pump = Pump(
                self._ledger,
                self._lease,
                session,
                self._work,
                resume,
                state.last_seq,
                self._polling,
                self._gather_s,
            )
            await self._pump(session, pump)
        finally:
            await session.close()

    async def _fork(self, forking: Forking, seen: StreamState) -> NoReturn:
        """Once, then a new session: it tells the receiver, who sets aside what this sender no longer has."""
        epoch = await self._ledger.fork(forking, seen)
        if epoch is not None:
            metrics.FORKS.labels(self.stream).inc()
        raise StreamForked(
            f"stream {self.stream}: the receiver has {forking.watermark} of epoch {forking.epoch}, this sender"
            f" {seen.last_seq} of epoch {seen.epoch}, and {forking.after_seq} are surely the same: it goes on in epoch"
            f" {epoch or 'that another began'}"
        )

    async def _pump(self, session: SenderSession, pump: Pump[ConnT]) -> None:
        try:
            await pump.run()
        finally:
            if pump.progressed:
                self._backoff.reset()
                self._store_backoff.reset()
            await session.close()  # after which the last acks are in
            with suppress(Unavailable, Indefinite, LeaseLost, TimeoutError):
                async with asyncio.timeout(LAST_ACK_TIMEOUT_S):
                    await pump.note_last_ack()

    def _welcomed(self, session: SenderSession, resume: Resume) -> None:
        self._trouble = None
        self._fault_backoff.reset()
        if resume.rewound_from is not None:
            metrics.REWINDS.labels(self.stream).inc()
            log.warning("feed_rewound", stream=self.stream, acked_seq=resume.rewound_from, watermark=resume.after_seq)
        log.info(
            "relay_connected",
            stream=self.stream,
            receiver=session.welcome.receiver,
            address=str(session.address),
            after_seq=resume.after_seq,
        )

    def _pause(self, fault: Exception, backoff: Backoff, retry_after_s: float | None = None) -> float:
        metrics.RELAY_RETRIES.labels(self.stream, type(fault).__name__).inc()
        self._note_trouble("relay_interrupted", fault)
        return backoff.next(retry_after_s)

    def _note_trouble(self, action: str, fault: Exception, *, error: bool = False) -> None:
        """Logged when it begins or changes its kind, not at every attempt."""
        kind = f"{action}:{fault.kind if isinstance(fault, FeedError) else type(fault).__name__}"
        if kind != self._trouble:
            self._trouble = kind
            (log.error if error else log.warning)(action, stream=self.stream, error=f"{type(fault).__name__}: {fault}")

    async def _watch(self) -> NoReturn:
        async for backlog in watch(self._pool, self._dialect, self.stream, self._stirred):
            self.backlog = backlog
        raise AssertionError("watching never ends")
