"""The timed right to relay a stream, seen from the one who holds or wants it.

Laws:
- The database's clock decides who holds a lease; this side only ever believes less: its own deadline is counted on
  the monotonic clock from *before* a request was sent, and ends ``SAFETY`` of the ttl early.
- The token grows with every acquisition. Whatever is written under the lease checks it in the same transaction, and the
  receiver checks it in HELLO: a holder that slept past its deadline can do nothing that counts.
- A holder at work renews by what it does: its transactions lock the lease's row, and a renewal of its own would wait
  behind them, one after the other, for as long as a slow store takes to commit them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, NoReturn, TypeVar

from ticketflow.delivery import jitter
from ticketflow.delivery.dialect import ConnT, Dialect, Pool
from ticketflow.delivery.errors import LeaseLost
from ticketflow.runtime.errors import Indefinite, Unavailable

T = TypeVar("T")

SAFETY = 0.2  # the part of the ttl left unused: drift of clocks, and the time a send takes to leave this process
RENEWALS_PER_TTL = 3  # two may fail
ALONG_PER_TTL = 10  # and so often at most by what is written anyway: one statement more in three transactions a second
DUE_S = 0.001  # nobody sleeps for less
GIVEN_UP = float("-inf")
RETRY_S = 0.1  # between attempts to renew while the store is away
RELEASE_TIMEOUT_S = 1.0  # a courtesy to the next holder, who else waits for the ttl


class Lease(Generic[ConnT]):
    """One contender for the lease ``name``. ``renewals``: what to renew by, for who shares ``pool`` with others whom a
    renewal should not wait for."""

    def __init__(
        self,
        pool: Pool[ConnT],
        dialect: Dialect[ConnT],
        *,
        name: str,
        owner: str,
        ttl_s: float,
        clock: Callable[[], float] = time.monotonic,  # not the loop's: uvloop's stands still during a pause
        renewals: Pool[ConnT] | None = None,
    ) -> None:
        self.name = name
        self.owner = owner
        self.ttl_s = ttl_s
        self.token = 0  # of the last acquisition
        self.free_in_s = 0.0  # as of the last attempt: when it runs out, unless its holder renews it
        self._pool = pool
        self._renewals = renewals or pool
        self._dialect = dialect
        self._clock = clock
        self._asked_at = GIVEN_UP  # when the last request was sent that has given us the lease, or renewed it
        self._until = GIVEN_UP
        # A process that restarts under its old name need not wait for its own old lease. Only once: two processes that
        # were given one name by mistake must not take it from each other for ever.
        self._takeover = True

    @property
    def left_s(self) -> float:
        """How long the lease may still be relied on; 0 or less when it may not."""
        return self._until - self._clock()

    async def acquire(self) -> bool:
        """One attempt; none while another holds it, which a look that locks nothing can tell. Raises Unavailable or
        Indefinite. Who is stopped, or cut off, before it knows whether it has the lease lets it go."""
        self.free_in_s = 0.0
        if not self._takeover:
            async with self._pool.acquire(plain=True) as conn:
                self.free_in_s = await self._dialect.lease_left(conn, self.name) or 0.0
            if self.free_in_s > 0:
                return False
        asked_at = self._clock()
        token = None
        try:
            async with self._pool.transaction() as conn:
                token = await self._dialect.acquire_lease(conn, self.name, self.owner, self.ttl_s, self._takeover)
        except (asyncio.CancelledError, Indefinite):
            if token is not None:  # it may be committed, or be about to: a release waits for its lock
                await self._let_go(token)
            raise
        self._takeover = False
        if token is None:
            return False
        self.token = token
        self._rely_from(asked_at)
        return True

    def check(self) -> int:
        """The fencing token. Raises LeaseLost when it may no longer be used."""
        if self.left_s <= 0:
            raise LeaseLost(f"{self.name}: token {self.token} was not renewed in time")
        return self.token

    async def hold(self, conn: ConnT) -> None:
        """Make sure, in the transaction of ``conn`` and until its end, that the lease is ours. Raises LeaseLost."""
        if not await self._dialect.hold_lease(conn, self.name, self.check()):
            raise LeaseLost(f"{self.name}: token {self.token} is no longer valid")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[ConnT]:
        """A transaction that the lease covers, and that renews it when it commits. Raises LeaseLost."""
        async with self.transaction_by(self.hold) as (conn, _):
            yield conn

    @asynccontextmanager
    async def transaction_by(self, hold: Callable[[ConnT], Awaitable[T]]) -> AsyncIterator[tuple[ConnT, T]]:
        """The same for who makes sure that the lease is ours by a statement that does more: and what it returns."""
        asked_at: float | None = None
        async with self._pool.transaction() as conn:
            yield conn, await hold(conn)
            if self._due_in_s(ALONG_PER_TTL) <= 0:
                asked_at = self._clock()
                await self._dialect.renew_lease(conn, self.name, self.token, self.ttl_s)  # its row is locked, and ours
        if asked_at is not None and self._until > GIVEN_UP:
            self._rely_from(asked_at)

    async def keep(self) -> NoReturn:
        """Renew for ever; raises LeaseLost at the latest when the lease may no longer be relied on."""
        while True:
            due_in_s = self._due_in_s(RENEWALS_PER_TTL)
            if due_in_s > 0:
                await asyncio.sleep(max(due_in_s, DUE_S))
            else:
                await self._renew()

    async def release(self) -> None:
        """Let the next one have it. Does nothing when the store is away."""
        self._until = GIVEN_UP
        await self._let_go(self.token)

    async def _let_go(self, token: int) -> None:
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT_S), self._pool.transaction() as conn:
                await self._dialect.release_lease(conn, self.name, token)
        except (Unavailable, Indefinite, TimeoutError):
            return

    async def _renew(self) -> None:
        while True:
            self.check()
            asked_at = self._clock()
            try:
                # One statement that commits by itself: should it be cut short, it may be sent again.
                async with asyncio.timeout(self.left_s), self._renewals.acquire(plain=True) as conn:
                    renewed = await self._dialect.renew_lease(conn, self.name, self.token, self.ttl_s)
            except (Unavailable, Indefinite, TimeoutError):
                await asyncio.sleep(RETRY_S * jitter.rng.uniform(0.5, 1.5))
                continue
            if not renewed:
                self._until = GIVEN_UP
                raise LeaseLost(f"{self.name}: another owner has taken it")
            self._rely_from(asked_at)
            return

    def _due_in_s(self, per_ttl: int) -> float:
        """Until it should be renewed, if that is done ``per_ttl`` times a ttl; 0 or less when it is time."""
        return self._asked_at + self.ttl_s / per_ttl - self._clock()

    def _rely_from(self, asked_at: float) -> None:
        self._asked_at = max(self._asked_at, asked_at)  # an earlier request may be answered later
        self._until = self._asked_at + self.ttl_s * (1 - SAFETY)
