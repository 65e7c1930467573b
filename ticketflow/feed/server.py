"""The receiver over TCP: a listener, its caps, and which session of each stream is the live one."""

import asyncio
import ssl as ssl_module
from collections import Counter
from collections.abc import Collection

import structlog

from ticketflow.feed.errors import Code
from ticketflow.feed.identity import Tls
from ticketflow.feed.limits import NAME_CHARS_MAX, Limits
from ticketflow.feed.link import Link
from ticketflow.feed.listener import Listener
from ticketflow.feed.metrics import CONNECTIONS_OPEN
from ticketflow.feed.session import Receiver, ReceiverSession
from ticketflow.feed.tls_faults import not_allowed, shown
from ticketflow.feed.tls_refusals import TlsRefusals

log = structlog.get_logger("ticketflow.feed")

BUSY_RETRY_S = 1.0  # hint to a peer that is one too many
HANG_UP_FACTOR = 2  # refusing politely keeps a connection for the linger time; beyond this multiple we just hang up


class FeedServer:
    """Listens for senders and hands their events to ``receiver``.

    ``allowed_names``: with TLS, a sender must have one of these names in its certificate, else `not_allowed`; a ``Tls``
    brings its own.
    ``expected_errors``: failures of the receiver that pass by themselves (a store that is down): logged without a
    traceback, refused as `unavailable`. All others are bugs, refused as `internal`.
    """

    def __init__(
        self,
        receiver: Receiver,
        *,
        host: str,
        port: int,
        limits: Limits | None = None,
        ssl: ssl_module.SSLContext | Tls | None = None,
        name: str = "receiver",
        allowed_names: Collection[str] | None = None,
        expected_errors: tuple[type[BaseException], ...] = (OSError, TimeoutError),
    ) -> None:
        if not 1 <= len(name) <= NAME_CHARS_MAX:
            raise ValueError(f"the receiver's name must have 1 to {NAME_CHARS_MAX} characters")
        self.receiver = receiver
        self.limits = limits or Limits()
        self.name = name
        self.expected_errors = expected_errors
        self._host = host
        self._port = port
        self._tls = ssl is not None
        if isinstance(ssl, Tls):
            allowed_names = ssl.allowed if allowed_names is None else allowed_names
        self._allowed_names = None if allowed_names is None else frozenset(allowed_names)
        self._refusals = TlsRefusals()
        self._listener = Listener(ssl, self._admit, self._over, self._refusals)
        self._sessions: set[ReceiverSession] = set()  # whose connection stands
        self._tasks: set[asyncio.Task[None]] = set()  # of sessions that are over, finishing an apply
        self._admitted: dict[asyncio.Protocol, str] = {}  # connections and their hosts, from accept to the end
        self._per_host: Counter[str] = Counter()
        self._live: dict[str, ReceiverSession] = {}
        self._turns: dict[str, asyncio.Lock] = {}  # one for each stream the receiver ever accepted
        self._next_number = 0
        self._draining = False

    @property
    def port(self) -> int:
        """The port it listens on: the one given, or the one the system chose for 0."""
        return self._listener.port or self._port

    @property
    def connections(self) -> int:
        """How many connections there are, those that still shake hands among them."""
        return len(self._admitted)

    @property
    def streams(self) -> dict[str, ReceiverSession]:
        """The live session of each stream."""
        return dict(self._live)

    async def start(self) -> None:
        """Begin to listen. Raises OSError when the address cannot be had."""
        await self._listener.start(self._host, self._port)
        self._port = self.port
        log.info("feed_listening", host=self._host, port=self._port, tls=self._tls)

    def renew(self, stream: str) -> None:
        """End the live session of ``stream``, if there is one: its sender then asks again where we stand."""
        session = self._live.get(stream)
        if session is not None:
            session.refuse(Code.UNAVAILABLE, "ask again where we stand", 0.0)

    async def drain(self, deadline_s: float) -> None:
        """Stop: no new sessions; each live one gets GOODBYE, finishes its apply, acknowledges, closes.

        What is not done after ``deadline_s`` is cut off and its tasks are cancelled. Afterwards nothing is left.
        """
        self._draining = True
        await self._listener.stop()
        for session in tuple(self._sessions):
            session.drain()
        try:
            async with asyncio.timeout(deadline_s):
                while self._sessions or self._tasks:
                    await self._one_step()
        except TimeoutError:
            log.warning("feed_drain_deadline", connections=len(self._sessions), tasks=len(self._tasks))
        finally:
            self._cut_off()
        while self._sessions or self._tasks:
            await self._one_step()

    def _cut_off(self) -> None:
        for session in tuple(self._sessions):
            session.link.abort()
            if session.task is not None:
                session.task.cancel()
        for task in tuple(self._tasks):
            task.cancel()

    async def _one_step(self) -> None:
        """Wait until a session or task is over."""
        waits = [asyncio.ensure_future(session.link.gone.wait()) for session in self._sessions]
        try:
            await asyncio.wait([*waits, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        await asyncio.sleep(0)  # let the callbacks that take them out of the sets run

    # -- what sessions ask of us (see session.Desk)

    def opened(self, session: ReceiverSession) -> None:
        """A connection stands: refuse it if it is one too many, or not one of those we know."""
        self._sessions.add(session)
        CONNECTIONS_OPEN.inc()
        limits, host = self.limits, session.peer.host
        if self._draining:
            session.refuse(Code.SHUTTING_DOWN, "shutting down", 0.0)
        elif len(self._sessions) > limits.connections_max or self._per_host[host] > limits.connections_per_peer_max:
            session.refuse(Code.TOO_MANY_SESSIONS, "too many connections", BUSY_RETRY_S)
        elif self._allowed_names is not None and not self._allowed_names.intersection(session.peer.names):
            self._refusals.tell(
                host,
                session.peer.port,
                not_allowed(session.peer.names),
                detail="no name of its certificate is on the list",
                names=shown(session.peer.names),
                allowed=sorted(self._allowed_names),
            )
            names = ", ".join(shown(session.peer.names)) or "none"
            session.refuse(Code.NOT_ALLOWED, f"no name of your certificate is on the list; it has {names}")

    def enter(self, session: ReceiverSession, stream: str) -> bool:
        """Make ``session`` the live one of its stream and refuse the one before; False when a newer one is live."""
        before = self._live.get(stream)
        if before is not None and before.number > session.number:
            return False
        self._live[stream] = session
        if before is not None:
            before.refuse(Code.SUPERSEDED, "a newer session of this stream was opened")
        return True

    def turn(self, stream: str) -> asyncio.Lock:
        """Held while events of ``stream`` are applied."""
        return self._turns.setdefault(stream, asyncio.Lock())

    def ended(self, session: ReceiverSession) -> None:
        """A session is over; its task may still finish an apply."""
        stream = session.link.stream
        if stream is not None and self._live.get(stream) is session:
            del self._live[stream]
        if session.task is not None and not session.task.done():
            self._tasks.add(session.task)
            session.task.add_done_callback(self._tasks.discard)

    # -- what the listener asks of us

    def _admit(self, host: str) -> Link | None:
        limits = self.limits
        if (
            self.connections >= HANG_UP_FACTOR * limits.connections_max
            or self._per_host[host] >= HANG_UP_FACTOR * limits.connections_per_peer_max
        ):
            return None
        self._per_host[host] += 1
        self._next_number += 1
        session = ReceiverSession(self, self._next_number)
        session.link.on_gone = lambda: self._gone(session)
        self._admitted[session.link] = host
        return session.link

    def _gone(self, session: ReceiverSession) -> None:
        self._sessions.discard(session)
        CONNECTIONS_OPEN.dec()
        self._over(session.link)

    def _over(self, link: asyncio.Protocol) -> None:
        host = self._admitted.pop(link, None)
        if host is None:  # told twice: by the link, and by a listener that was stopped at that moment
            return
        self._per_host[host] -= 1
        if self._per_host[host] <= 0:
            del self._per_host[host]
