"""Sends the mails that are due.

Laws of this file:
- At least once: a process that ends between the server's "250" and our COMMIT sends again, under the same Message-ID.
- A mail is taken for LEASE_S, by one worker at a time, in a transaction of its own; no transaction stays open while a
  mail server thinks. Address and text are those of the moment of sending.
- A server that is away, or says "later", costs an attempt and a pause that doubles; after ATTEMPTS_MAX, which is about
  a day, or when the server says never, the mail is FAILED and waits for a person.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from portal import metrics, store, store_mails
from portal.letters import letter
from portal.mail_rules import MailKind, told
from portal.mail_server import STEP_TIMEOUT_S, Away, Letter, MailServer, Post, Refused
from portal.store_mails import Taken
from portal.telling import story_of
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import PostgresPool

BATCH = 10
SENDING_S = 60.0  # for all of a batch
LEASE_S = 90.0  # longer, and some: for the store
LAST_S = 5.0  # for the mail that is under way when we are told to stop
FIRST_PAUSE_S = 10.0
PAUSE_MAX_S = 3600.0
ATTEMPTS_MAX = 30
IDLE_S = 2.0
COUNT_EVERY_S = 10.0

log = get_logger("mailer")


def pause_s(attempts: int) -> float:
    """After the attempt of that number, counted from 1."""
    return float(min(PAUSE_MAX_S, FIRST_PAUSE_S * 2 ** min(attempts - 1, 20)))


class _Broken(Exception):
    """The session with the mail server is not to be used any more."""


async def _finished(sending: Coroutine[Any, Any, None]) -> None:
    """A mail that is being sent is sent and noted to its end when we are told to stop, or every restart would send
    one twice."""
    task = asyncio.ensure_future(sending)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            async with asyncio.timeout(LAST_S):
                await task
        raise


class Mailer:
    """``public_url``: where buyers find the pages, without a slash at the end."""

    def __init__(
        self,
        pool: PostgresPool,
        server: MailServer,
        *,
        sender: str,
        public_url: str,
        pause_s: Callable[[int], float] = pause_s,
        lease_s: float = LEASE_S,
        step_timeout_s: float = STEP_TIMEOUT_S,
    ) -> None:
        """Raises ValueError when the server's CA cannot be read."""
        self._tls = server.tls()
        self._step_timeout_s = step_timeout_s
        self._pool = pool
        self._server = server
        self._sender = sender
        self._public_url = public_url
        self._host = sender.partition("@")[2]
        self._pause_s = pause_s
        self._lease_s = lease_s
        self._counted_at = float("-inf")

    async def run_once(self) -> int:
        """How many mails were taken. Raises Unavailable, Indefinite: the store is away."""
        await self._count()
        async with self._pool.acquire(plain=True) as conn:
            if not await store_mails.any_due(conn):
                return 0
        async with self._pool.transaction() as conn:
            taken = await store_mails.take(conn, BATCH, self._lease_s)
        addressed = [mail for mail in taken if mail.email is not None]
        for mail in taken:
            if mail.email is None:
                await self._end_without_address(mail)
        ready = [(mail, found) for mail in addressed if (found := await self._letter(mail)) is not None]
        if ready:
            try:
                async with asyncio.timeout(SENDING_S):
                    await self._send(ready)
            except TimeoutError:  # what is left is due again when its lease ends
                log.warning("mail_server_slow", mails=len(ready))
        return len(taken)

    async def _send(self, ready: list[tuple[Taken, Letter]]) -> None:
        """Over one connection, and a new one after a mail that it could not take."""
        left = deque(ready)
        while left:
            try:
                async with Post(self._server, self._sender, self._tls, self._step_timeout_s) as post:
                    while left:
                        await _finished(self._send_one(post, *left.popleft()))
            except _Broken:
                continue
            except Away as fault:  # before the first of them: it would be the same with the others
                for mail, _ in left:
                    await self._later(mail, str(fault))
                return

    async def _send_one(self, post: Post, mail: Taken, content: Letter) -> None:
        try:
            await post.send(content)
        except Refused as refused:
            await self._end(mail, "FAILED", str(refused))
            raise _Broken from refused
        except Away as fault:
            await self._later(mail, str(fault))
            raise _Broken from fault
        await self._end(mail, "SENT")

    async def _letter(self, mail: Taken) -> Letter | None:
        """None: it is overtaken, and ended."""
        async with self._pool.acquire(plain=True) as conn:
            sale = await store.sale(conn, mail.order_id)
        if sale is None or (mail.kind, mail.about) not in {(one.kind, one.about) for one in told(sale)}:
            await self._end(mail, "OVERTAKEN")
            return None
        assert mail.email is not None
        content = letter(
            story_of(sale, time.time_ns() // 1000),
            cast(MailKind, mail.kind),
            mail_id=mail.mail_id,
            page=f"{self._public_url}/sales/{mail.order_id}",
            host=self._host,
            sender=self._sender,
            recipient=mail.email,
            now=datetime.now(UTC),
        )
        return Letter(mail.email, content)

    async def _later(self, mail: Taken, why: str) -> None:
        if mail.attempts >= ATTEMPTS_MAX:
            await self._end(mail, "FAILED", why)
            return
        async with self._pool.transaction() as conn:
            await store_mails.postpone(conn, mail, self._pause_s(mail.attempts), why)
        metrics.MAILS.labels("postponed").inc()
        log.warning("mail_postponed", mail_id=mail.mail_id, attempts=mail.attempts, error=why)

    async def _end(self, mail: Taken, state: str, why: str | None = None) -> None:
        async with self._pool.transaction() as conn:
            mine = await store_mails.end(conn, mail, state, why)
        if mine:
            self._tell(mail, state, why)

    async def _end_without_address(self, mail: Taken) -> None:
        async with self._pool.transaction() as conn:
            mine = await store_mails.end_without_address(conn, mail)
        if mine:
            self._tell(mail, "NO_ADDRESS", None)

    def _tell(self, mail: Taken, state: str, why: str | None) -> None:
        metrics.MAILS.labels(state.lower()).inc()
        tell = log.error if state == "FAILED" else log.info
        tell("mail_ended", mail_id=mail.mail_id, kind=mail.kind, order_id=mail.order_id, state=state, error=why)

    async def _count(self) -> None:
        if time.monotonic() - self._counted_at >= COUNT_EVERY_S:
            async with self._pool.acquire(plain=True) as conn:
                metrics.MAILS_WAITING.set(await store_mails.waiting(conn))
            self._counted_at = time.monotonic()
