"""A database server in memory: READ COMMITTED, row locks, unique keys, and COMMITs of every outcome.

Laws:
- A transaction's writes are its own until COMMIT, which makes all of them visible at once, or none.
- Who writes a row, or reads it FOR UPDATE, holds its lock until the end; others wait, a circle of them has a victim.
- The server lives outside of all processes: what it was asked to do, it does, whether or not the asker still lives.
"""

import asyncio
import contextvars
import random
from collections.abc import Callable
from typing import Any

from tests.simulation.locks import Locks
from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.rates import StoreRates
from tests.simulation.session import Gone, Key, Session, Victim
from tests.simulation.trace import Trace
from ticketflow.runtime.errors import Indefinite, Unavailable

Tables = dict[str, dict[Any, Any]]

LATENCY_S = 0.002
NOTICE_S = 1.0  # at most, until a lost client's transaction is rolled back
LATE_S = 2.0  # at most, until a COMMIT that was given up is carried out all the same

FATES = (
    "victim",  # rolled back, and said so, as Galera's certification does
    "before",  # the connection was lost before COMMIT was sent
    "lost",  # COMMIT was lost on its way; the client does not know
    "unanswered",  # COMMIT happened; its answer was lost
    "late",  # the client gave up waiting, COMMIT happened later
    "kill_before",  # the client's process dies just before COMMIT
    "kill_after",  # ... just after it, before the answer
    "stop",  # the client's process stands still for some seconds while COMMIT happens
)


class Database:
    """One store. ``on_commit`` sees every transaction that wrote, after it became visible."""

    def __init__(self, name: str, loop: SimulatedLoop, rng: random.Random, rates: StoreRates, trace: Trace) -> None:
        self.name = name
        self.loop = loop
        self.rng = rng
        self.rates = rates
        self.trace = trace
        self.tables: Tables = {}
        self.up = True
        self.on_commit: Callable[[Session], None] = lambda _session: None
        self.kill: Callable[[Process], None] = lambda _process: None
        self.stop_for: Callable[[Process, float], None] = lambda _process, _for_s: None
        self.listeners: dict[object, tuple[Process, str, Callable[[], None]]] = {}
        self.positions = 0
        self._sessions: dict[Session, None] = {}
        self._context = contextvars.copy_context()
        self._locks = Locks(loop, self._context, self.end)

    def table(self, name: str) -> dict[Any, Any]:
        return self.tables.setdefault(name, {})

    def next_position(self) -> int:
        self.positions += 1
        return self.positions

    # -- clients

    def connect(self, process: Process) -> Session:
        """Raises Unavailable while the server is down."""
        if not self.up:
            raise Unavailable(f"{self.name} is down")
        session = Session(self, process)
        self._sessions[session] = None
        return session

    async def lock(self, session: Session, key: Key) -> None:
        """Wait for the row's lock. Raises Victim or Gone."""
        await self._locks.take(session, key)

    def is_locked(self, table: str, pk: Any) -> bool:
        return self._locks.is_held((table, pk))

    def announce(self, stream: str) -> None:
        for process, wanted, wake in tuple(self.listeners.values()):
            if wanted == stream:
                self.loop.call_soon(wake, context=process.context)

    def end(self, session: Session) -> None:
        """Roll back, unless it is over; the locks go to those who wait."""
        if session.ended:
            return
        session.ended = True
        session.waits_for = None
        self._sessions.pop(session, None)
        self._locks.release(session)

    def abandon(self, session: Session) -> None:
        """The client is gone without a word: the server notices in time, at once between two statements."""
        if not session.ended and not session.committing:
            delay_s = self.rng.random() * NOTICE_S if session.waits_for is not None else 0.0
            self.loop.call_later(delay_s, self._notice, session, context=self._context)

    def _notice(self, session: Session) -> None:
        if not session.committing:
            self.end(session)

    def killed(self, process: Process) -> None:
        """The process of some clients was killed; a COMMIT that is on its way is carried out."""
        for session in tuple(self._sessions):
            if session.process is process and not session.committing:
                self.loop.call_later(self.rng.random() * NOTICE_S, self._notice, session, context=self._context)
        for owner, (listening, _, _) in tuple(self.listeners.items()):
            if listening is process:
                del self.listeners[owner]

    # -- COMMIT

    async def commit(self, session: Session) -> None:
        """Raises Indefinite when nobody can know, Victim or Gone when it has not happened."""
        session.check()
        rng = self.rng
        fate = rng.choice(FATES) if session.writes and rng.random() < self.rates.commit else ""
        if fate == "before":
            raise Gone("lost before COMMIT")
        if fate == "victim":
            self.end(session)
            raise Victim("chosen at COMMIT")
        session.committing = True
        answer: asyncio.Future[str] = self.loop.create_future()
        delay_s = rng.random() * LATENCY_S
        if fate == "late":
            self.loop.call_later(0.3, self._answer, answer, "not answered in time", context=self._context)
            delay_s = 0.3 + rng.random() * LATE_S
        self.loop.call_later(delay_s, self._carry_out, session, answer, fate, context=self._context)
        if trouble := await answer:
            raise Indefinite(f"COMMIT was not answered: {trouble}")

    def _carry_out(self, session: Session, answer: "asyncio.Future[str]", fate: str) -> None:
        if session.ended:  # the server went down meanwhile
            return self._answer(answer, "connection lost")
        if fate and self.trace.on:
            self.trace.say(self.loop.time(), self.name, f"COMMIT of {session.process.name}: {fate}")
        if fate in ("kill_before", "lost"):
            self.end(session)
            if fate == "lost":
                return self._answer(answer, "it was lost")
            return self.kill(session.process)
        self._apply(session)
        if fate == "kill_after":
            return self.kill(session.process)
        if fate == "stop":
            self.stop_for(session.process, 0.5 + self.rng.random() * 6)
        trouble = "the answer was lost" if fate == "unanswered" else ""
        self.loop.call_later(self.rng.random() * LATENCY_S, self._answer, answer, trouble, context=self._context)
        return None

    def _answer(self, answer: "asyncio.Future[str]", trouble: str) -> None:
        if not answer.done():
            answer.set_result(trouble)

    def _apply(self, session: Session) -> None:
        for (table, pk), row in session.writes.items():
            if row is None:
                self.table(table).pop(pk, None)
            else:
                self.table(table)[pk] = row
        self.end(session)
        if session.writes:
            if self.trace.on:
                self.trace.say(self.loop.time(), self.name, f"COMMIT of {session.process.name}: {session.summary()}")
            self.on_commit(session)

    def autocommit(self, session: Session, table: str, pk: Any, row: Any) -> None:
        """A write beside the session's transaction, past every lock: only faulty code does that."""
        beside = Session(self, session.process)
        beside.put(table, pk, row)
        self._apply(beside)

    # -- the whole server

    def cut_off(self) -> None:
        """Every connection is lost; what had not committed is rolled back."""
        for session in tuple(self._sessions):
            self.end(session)
        self._locks.clear()

    def snapshot(self) -> tuple[Tables, int]:
        return {name: dict(rows) for name, rows in self.tables.items()}, self.positions

    def restore(self, snapshot: tuple[Tables, int]) -> None:
        """Everything since ``snapshot`` is forgotten."""
        self.cut_off()
        tables, self.positions = snapshot
        self.tables = {name: dict(rows) for name, rows in tables.items()}
