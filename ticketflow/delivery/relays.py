"""The relays of one stream with all of its lanes, in one process.

Laws:
- Which lanes there are is read in the store, every two seconds: the command that changes it talks to no process.
- Each lane is a Relay of its own, with its own lease; a lane that is retired has one until its outbox is purged,
  because its receiver may still ask for old events.
- One ear for all: a wake-up or an announcement of the family rouses every lane.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Generic, NoReturn

from ticketflow.delivery import jitter, metrics
from ticketflow.delivery.dialect import Backlog, ConnT, Dialect, Pool
from ticketflow.delivery.lanes import Lane, LaneState
from ticketflow.delivery.lanes_spread import advice
from ticketflow.delivery.racing import first_of
from ticketflow.delivery.relay import ANNOUNCE_EVERY_S, LEASE_TTL_S, STORE_RETRY_S, Relay
from ticketflow.feed import Address, Backoff
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.log import get_logger

LOOK_EVERY_S = 2.0  # with one lane
LANES_LOOK_EVERY_S = 1.0  # with several: what is seen decides who relays what as well
REPLICA_GONE_TTLS = 1.5  # who has not been seen for so long takes no lane

log = get_logger("relay")


class Wake:
    """What Outbox.wakes and workers ``set`` after a COMMIT."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Until the next ``set``; several that came meanwhile are one."""
        await self._event.wait()
        self._event.clear()


class Relays(Generic[ConnT]):
    """Delivers what is staged in ``stream``. Run one in every replica; they share the lanes among them. The other
    arguments are those of Relay."""

    def __init__(
        self,
        pool: Pool[ConnT],
        dialect: Dialect[ConnT],
        *,
        stream: str,
        addresses: Sequence[Address],
        owner: str,
        lease_ttl_s: float = LEASE_TTL_S,
        **settings: Any,
    ) -> None:
        self.stream = stream
        self.wake = Wake()
        self._pool = pool
        self._dialect = dialect
        self._owner = owner
        self._ttl_s = lease_ttl_s
        self._settings = dict(settings, addresses=addresses, owner=owner, lease_ttl_s=lease_ttl_s)
        self._running: dict[tuple[Lane, str], tuple[Relay[ConnT], asyncio.Task[None]]] = {}  # by lane and lease
        self._lanes = 1  # as last seen
        self._backoff = Backoff(*STORE_RETRY_S, rng=jitter.rng)

    @property
    def relays(self) -> dict[int, Relay[ConnT]]:
        """By number of the lane, those that run here, leading or not."""
        return {lane.number: relay for (lane, _), (relay, _) in self._running.items()}

    @property
    def leading(self) -> bool:
        """Whether this process relays any lane now."""
        return self.held > 0

    @property
    def held(self) -> int:
        """How many lanes this process relays now."""
        return sum(relay.leading for relay, _ in self._running.values())

    @property
    def backlog(self) -> Backlog | None:
        """Of all lanes together, as last looked at; None before the first look. The seqs are sums: how many events."""
        seen = [relay.backlog for relay, _ in self._running.values() if relay.backlog is not None]
        if not seen:
            return None
        unacked, _, last_seq, acked_seq = map(sum, zip(*seen, strict=True))
        return Backlog(int(unacked), max(each.oldest_age_s for each in seen), int(last_seq), int(acked_seq))

    async def run(self) -> NoReturn:
        """Until cancelled; then every session says GOODBYE and every lease is let go."""
        try:
            async with self._dialect.listening(self._pool, self.stream, self._rouse):
                await first_of(self._keep(), self._pass_on())
        finally:
            await self._stop(list(self._running))
        raise AssertionError("relays never return")

    def _rouse(self) -> None:
        for relay, _ in self._running.values():
            relay.rouse()

    async def _pass_on(self) -> NoReturn:
        """A wake-up goes to the lanes that are relayed here, and to the other replicas for the rest; see Relay."""
        while True:
            await self.wake.wait()
            self._rouse()
            if self._dialect.announces and any(not relay.leading for relay, _ in self._running.values()):
                with suppress(Unavailable, Indefinite):  # the poll is behind it
                    async with self._pool.acquire(plain=True) as conn:
                        await self._dialect.announce(conn, self.stream)
                await asyncio.sleep(ANNOUNCE_EVERY_S)

    async def _keep(self) -> NoReturn:
        while True:
            try:
                await self._look()
            except (Unavailable, Indefinite):
                pause_s = self._backoff.next()  # the lanes go on, or wait, as they are
            else:
                self._backoff.reset()
                pause_s = LOOK_EVERY_S if self._lanes == 1 else LANES_LOOK_EVERY_S
            tasks = [task for _, task in self._running.values()]
            if tasks:
                await asyncio.wait(tasks, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(pause_s)
            for task in tasks:
                if task.done():
                    task.result()  # a relay never ends by itself: what ended it is a bug, and ends us

    async def _look(self) -> None:
        async with self._pool.acquire(plain=True) as conn:
            states = await self._dialect.lane_states(conn, self.stream)
        lanes = next((state.lanes for state in states if state.lane.number == 0), 1)
        await self._adapt(states, lanes)
        if lanes > 1:
            await self._share()

    async def _adapt(self, states: Sequence[LaneState], lanes: int) -> None:
        """Have a relay for every lane that needs one, under the lease that goes with the number of lanes."""
        needed = {state.lane for state in states if state.at_work} | {Lane(self.stream, 0)}
        wanted = {(lane, lane.lease(lanes)) for lane in needed}
        changed, self._lanes = lanes != self._lanes, lanes
        metrics.LANES.labels(self.stream).set(lanes)
        if changed:
            log.info("lanes_changed", stream=self.stream, lanes=lanes)
        await self._stop([key for key in self._running if key not in wanted])
        for lane, lease in sorted(wanted - self._running.keys()):
            relay = Relay(self._pool, self._dialect, stream=lane.stream, lane=lane, lease=lease, **self._settings)
            metrics.LEASE_HELD.labels(lane.stream)  # 0: a lane that nobody relays is to be seen
            self._running[lane, lease] = relay, asyncio.create_task(relay.run_lane(), name=f"relay {lane.stream}")
        for relay, _ in self._running.values():
            relay.look_again(lanes)  # not only when it changed for us: a session may have begun between two changes

    async def _share(self) -> None:
        """Spread the lanes over the replicas."""
        async with self._pool.transaction() as conn:
            seen_s = max(self._ttl_s, LANES_LOOK_EVERY_S) * REPLICA_GONE_TTLS
            replicas = await self._dialect.meet_replicas(conn, self.stream, self._owner, self.held, seen_s)
        advised = advice(self._owner, self.held, replicas)
        for relay, _ in self._running.values():
            relay.waits = advised.waits
        if advised.yields:
            leading = [relay for relay, _ in self._running.values() if relay.leading]
            if leading:
                leading[-1].let_go()

    async def _stop(self, keys: Sequence[tuple[Lane, str]]) -> None:
        stopped = [(key[0], self._running.pop(key)[1]) for key in keys]
        for _, task in stopped:
            task.cancel()
        await asyncio.gather(*(task for _, task in stopped), return_exceptions=True)
        kept = {lane for lane, _ in self._running}
        for lane, _ in stopped:
            if lane.number > 0 and lane not in kept:
                metrics.forget(lane.stream)  # or a lane that is gone would look like one that nobody relays
