"""One run: a seed decides everything. Two senders and two receivers over two stores and a network; then faults; then
peace, in which everything must settle."""

import asyncio
import contextvars
import random
from collections.abc import Awaitable
from typing import Any

from tests.simulation import logs
from tests.simulation.bugs import Bug
from tests.simulation.checkers import Checkers, Violation
from tests.simulation.database import Database, Tables
from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.marks import barrier_of, event_of
from tests.simulation.nemesis import Nemesis
from tests.simulation.network import Network
from tests.simulation.nodes import Node, ReceivingNode, SendingNode
from tests.simulation.operator import Operator
from tests.simulation.plan import KEYS, STREAM
from tests.simulation.rates import StoreRates, WireRates, store_rates, wire_rates
from tests.simulation.trace import Trace
from ticketflow.delivery import jitter
from ticketflow.delivery.lanes_barrier import barrier_event
from ticketflow.events import Envelope

EVENTS = 40
SETTLE_S = 120.0  # after the last fault: several times the longest back-off of the product (30 s)
KEEPS_ALL = 0.5  # share of seeds in which no store forgets anything, and acknowledged rows are purged at once


class World:
    def __init__(self, seed: int, bug: Bug, trace: Trace, loop: SimulatedLoop) -> None:
        self.seed = seed
        self.bug = bug
        self.trace = trace
        self.loop = loop
        self.rng = rng = random.Random(seed)
        random.seed(seed)  # runtime's pauses between retries
        jitter.rng.seed(seed)
        self.dialect = bug.dialect()
        self.network = Network(loop, rng, wire_rates(rng), trace)
        self.sending = Database("sending", loop, rng, store_rates(rng), trace)
        self.receiving = Database("receiving", loop, rng, store_rates(rng), trace)
        self.checkers = Checkers(STREAM, self.sending, self.receiving)
        keeps_all = rng.random() < KEEPS_ALL
        self.retention_s = 0.5 if keeps_all else None
        self.effect_fails = rng.choice((0.0, 0.0, 0.1))
        self.events_left = EVENTS
        self.senders = [SendingNode(self, name) for name in ("s1", "s2")]
        self.receivers = [ReceivingNode(self, name) for name in ("r1", "r2")]
        self.over: asyncio.Future[None] = loop.create_future()
        self._events_made = self._barriers_made = 0
        self._outside = contextvars.copy_context()
        self._running: dict[asyncio.Future[Any], None] = {}
        nemesis = Nemesis(self)
        faults = {name: fault for name, fault in nemesis.faults().items() if not (keeps_all and "history" in name)}
        self._nemesis = nemesis
        self._chosen = rng.sample(sorted(faults), rng.randint(1, 7))
        self.counts = rng.random() < 0.2 or any("hole" in name for name in self._chosen)
        self._faults = [faults[name] for name in self._chosen]
        self.operator = Operator(self)
        self._wire_up()

    def _wire_up(self) -> None:
        self.loop.on_error = self._crashed
        self.network.on_ack = lambda end, seq: self._checked(self.checkers.acked, end.process, end.stream, seq)
        self.sending.on_commit = lambda session: self._checked(self.checkers.sender_committed, session)
        self.receiving.on_commit = lambda session: self._checked(self.checkers.receiver_committed, session)
        for database in (self.sending, self.receiving):
            database.kill = self._kill_process
            database.stop_for = self.stop_for

    # -- the story

    async def live(self) -> None:
        """Raises Violation."""
        self.tell("seed", f"{self.seed}: {', '.join(self._chosen)}")
        story = self.loop.create_task(self._story())
        await asyncio.wait((story, self.over), return_when=asyncio.FIRST_COMPLETED)
        if self.over.done():
            self.over.result()
        story.result()

    def start(self) -> None:
        """Every process."""
        for node in (*self.receivers, *self.senders):
            node.start()

    def operate(self) -> None:
        """From now on somebody sees to what only a person can settle."""
        self.loop.create_task(self.operator.attend())

    def calm(self) -> None:
        """From now on nothing goes wrong by itself."""
        for database in (self.sending, self.receiving):
            database.rates = StoreRates()
        self.network.rates = WireRates()
        self.network.heal()
        self.effect_fails = 0.0

    async def settled(self, within_s: float) -> None:
        """Raises Violation when both ends do not agree in time."""
        until = self.loop.time() + within_s
        while left := self.unsettled():
            if self.loop.time() > until:
                raise Violation(f"progress: not settled within {within_s:.0f} s: {left}")
            await asyncio.sleep(0.1)

    def unsettled(self) -> str:
        """What is left to do; empty for nothing."""
        return self.checkers.unsettled() or self.operator.unsettled()

    async def _story(self) -> None:
        self.start()
        self.operate()
        chaos = [self.loop.create_task(self._nemesis.repeat(fault)) for fault in self._faults]
        chaos.append(self.loop.create_task(self._nemesis.take_snapshots()))
        while self.events_left > 0:  # noqa: ASYNC110 - simulated time costs nothing
            await asyncio.sleep(0.5)
        for task in chaos:
            task.cancel()
        await self._make_peace()
        await self._settle()
        self.checkers.at_the_end()

    async def _make_peace(self) -> None:
        while self._running:
            await asyncio.wait(list(self._running))
        self.calm()
        self.tell("peace", "no more faults")

    async def _settle(self) -> None:
        until = self.loop.time() + SETTLE_S
        writer: asyncio.Task[None] | None = None
        process: Process | None = None
        while writer is None or not writer.done() or self.unsettled():
            if self.loop.time() > until:
                raise Violation(f"progress: not settled {SETTLE_S:.0f} s after the last fault: {self.unsettled()}")
            node = self.senders[0]
            if node.process is not process and node.process.runs:  # a last COMMIT under way may have killed it
                process = node.process
                writer = process.spawn(node.write_one_of_each())
            await asyncio.sleep(0.1)
        writer.result()

    # -- what nodes ask for

    def some_keys(self) -> list[str]:
        return self.rng.sample(KEYS, self.rng.choice((1, 1, 1, 2)))

    def new_event(self, key: str) -> Envelope:
        self._events_made += 1
        return event_of(key, self._events_made)

    def new_barrier(self, requires: dict[str, int]) -> Envelope:
        """In place of the product's own, whose bytes are never the same."""
        self._barriers_made += 1
        return barrier_of(barrier_event(requires), self._barriers_made)

    # -- what the nemesis and the databases do to nodes

    def kill(self, node: Node, how: str = "is killed") -> None:
        process = node.process
        if not process.alive:
            return
        self.tell(node.name, how)
        self._end(process)
        self.loop.call_later(self.rng.random() * 2, node.start, context=self._outside)

    def _kill_process(self, process: Process) -> None:
        node = next((node for node in (*self.senders, *self.receivers) if node.process is process), None)
        if node is not None:
            self.kill(node)
        else:  # a person's command
            self.tell(process.name, "is killed")
            self._end(process)

    def _end(self, process: Process) -> None:
        process.kill()
        self.network.killed(process)
        self.sending.killed(process)
        self.receiving.killed(process)

    def stop_for(self, process: Process, for_s: float) -> None:
        if process.runs:
            self.tell(process.name, f"stands still for {for_s:.2f} s")
            process.stop()
            self.loop.call_later(for_s, process.resume, context=self._outside)

    def in_progress(self, fault: Awaitable[None]) -> asyncio.Future[None]:
        """Runs to its end, even when peace is made meanwhile."""
        task = asyncio.ensure_future(fault)
        self._running[task] = None
        task.add_done_callback(lambda done: self._running.pop(done, None))
        return task

    def forget(self, older: Tables) -> None:
        """The sending store is about to be restored to ``older``, by somebody who knows what that may leave behind."""
        self.operator.called()
        for key, row in self.sending.table("aggregate").items():
            kept = older.get("aggregate", {}).get(key)
            self.checkers.forgotten.update(row.marks[len(kept.marks) if kept is not None else 0 :])

    # -- for all

    def tell(self, who: str, what: str) -> None:
        self.trace.say(self.loop.time(), who, what)

    def logged(self, who: str, level: str, action: str, line: str) -> None:
        """The product has logged something: for the trace, and what it should never have to say is a violation."""
        self.tell(who, f"{level} {line}")
        if action == "stream_history_lost":
            self.operator.called()
        if level == "error" and action in logs.NEVER:
            self._broken(Violation(f"crash: {who} logged {line}"))

    def relay_ended(self, node: Node, task: "asyncio.Task[Any]") -> None:
        if not task.cancelled():
            self._broken(Violation(f"crash: the relay of {node.name} ended: {task.exception()!r}"))

    def _checked(self, check: Any, *args: Any) -> None:
        try:
            check(*args)
        except Violation as violation:
            self._broken(violation)

    def _crashed(self, context: dict[str, Any]) -> None:
        self._broken(Violation(f"crash: {context.get('message')}: {context.get('exception')!r}"))

    def _broken(self, violation: Violation) -> None:
        self.tell("checkers", f"VIOLATION {violation}")
        if not self.over.done():
            self.over.set_exception(violation)
