"""The watch: looks at everything, over and over, and says each second what it sees.

Every tier has a look of its own, at its own pace and within its own time: one that is away delays no other. What a look
could not see is missing from what the watch says, with the reason; what is older than STALE_S counts as not seen.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from drills.auditor import queries, tiers
from drills.auditor.settings import AuditorSettings, named_urls
from drills.auditor.stores import Row, Stores, mariadb, postgres
from drills.auditor.web import Web
from drills.history import Places, StreamAt
from drills.observation import Observation
from ticketflow.events.topology import SALES_QUEUE
from ticketflow.runtime.errors import Indefinite, Unavailable

EVERY_S = 1.0
SELDOM_S = 2.0  # what costs those who are asked something: rendering metrics
STALE_S = 3.0
REASON_CHARS_MAX = 200
RABBITMQ_FAMILIES = "/metrics/detailed?family=queue_coarse_metrics&family=ra_metrics"


@dataclass
class Seen:
    """What one look found: fields of an Observation, and ``ends`` of streams, by (stream, "sender" or "receiver")."""

    roles: dict[str, str] = field(default_factory=dict)
    present: dict[str, int] = field(default_factory=dict)
    backlog: dict[str, int] = field(default_factory=dict)
    ends: dict[tuple[str, str], Row] = field(default_factory=dict)
    undecided: dict[str, int] = field(default_factory=dict)
    queued: dict[str, int] = field(default_factory=dict)
    parked: dict[str, int] = field(default_factory=dict)
    rewinds: dict[str, int] = field(default_factory=dict)
    places: Places | None = None


@dataclass(frozen=True)
class Look:
    """What one look found, and from when to when (monotonic) it looked; ``before``: the one before it."""

    began_s: float
    ended_s: float
    seen: Seen
    before: "Look | None" = None


class Watch:
    """``event_id``: the ticketed event to look at, once there is one; it may be set at any time."""

    def __init__(self, settings: AuditorSettings, stores: Stores, web: Web) -> None:
        self.event_id: str | None = None
        self._settings = settings
        self._stores = stores
        self._web = web
        self._rewinds = Counters()
        self._seen: dict[str, Look] = {}
        self._failed: dict[str, str] = {}

    async def run(self, say: Callable[[Observation], None]) -> NoReturn:
        """Says an observation each second, for ever."""
        looks: dict[str, tuple[Callable[[], Awaitable[Seen]], float]] = {
            "reservation": (self._reservation, EVERY_S),
            "portal": (self._portal, EVERY_S),
            "billing": (self._billing, EVERY_S),
        }
        if self._settings.patroni_urls:
            looks["postgres"] = (self._postgres, EVERY_S)
        if len(self._settings.galera_addresses) > 1:
            looks["galera"] = (self._galera, EVERY_S)
        if self._settings.etcd_urls:
            looks["etcd"] = (self._etcd, SELDOM_S)
        if self._settings.rabbitmq_urls:
            looks["rabbitmq"] = (self._rabbitmq, SELDOM_S)
        if self._settings.relay_urls:
            looks["relays"] = (self._relays, SELDOM_S)
        async with asyncio.TaskGroup() as group:
            for name, (look, every_s) in looks.items():
                group.create_task(self._repeat(name, look, every_s))
            while True:
                await asyncio.sleep(EVERY_S)
                say(self.observation(list(looks)))

    def observation(self, names: list[str]) -> Observation:
        """Of all that was seen lately."""
        now = time.monotonic()
        looks = [look for look in self._seen.values() if now - look.began_s <= STALE_S]
        fresh = [look.seen for look in looks]
        unseen = {
            name: self._failed.get(name, "it has not been looked at yet")
            for name in names
            if name not in self._seen or now - self._seen[name].began_s > STALE_S
        }
        return Observation(
            at_s=time.time(),
            roles=_joined(seen.roles for seen in fresh),
            present=_joined(seen.present for seen in fresh),
            backlog=_joined(seen.backlog for seen in fresh),
            streams=streams(looks),
            places=next((seen.places for seen in fresh if seen.places is not None), None),
            undecided=_joined(seen.undecided for seen in fresh),
            queued=_joined(seen.queued for seen in fresh),
            parked=_joined(seen.parked for seen in fresh),
            rewinds=_joined(seen.rewinds for seen in fresh),
            unseen=unseen,
        )

    async def _repeat(self, name: str, look: Callable[[], Awaitable[Seen]], every_s: float) -> NoReturn:
        while True:
            begun = time.monotonic()
            try:
                seen = await look()
                before = self._seen.get(name)
                self._seen[name] = Look(begun, time.monotonic(), seen, before and replace(before, before=None))
                self._failed.pop(name, None)
            except Exception as error:  # whatever it is: that it cannot be seen is all that a watch can say
                self._failed[name] = f"{type(error).__name__}: {error}"[:REASON_CHARS_MAX]
            await asyncio.sleep(max(0.1, begun + every_s - time.monotonic()))

    # -- the looks

    async def _reservation(self) -> Seen:
        seen = Seen()
        async with self._stores.reservation.snapshot() as conn:
            _note_sender(seen, "reservation", await postgres(conn, queries.SENDER_POSTGRES, "reservation"))
            _note_receiver(seen, "portal", await postgres(conn, queries.RECEIVER_POSTGRES, "portal"))
            seen.roles |= tiers.relays((name, owner) for name, owner in await postgres(conn, queries.RELAYS_POSTGRES))
            seen.parked["reservation"] = (await postgres(conn, queries.PARKED))[0][0]
            if self.event_id is not None:
                seen.places = Places(*(await postgres(conn, queries.PLACES, self.event_id))[0])
                seen.undecided["holds"] = (await postgres(conn, queries.UNDECIDED_HOLDS, self.event_id))[0][0]
        return seen

    async def _portal(self) -> Seen:
        seen = Seen()
        async with self._stores.portal.snapshot() as conn:
            _note_sender(seen, "portal", await postgres(conn, queries.SENDER_POSTGRES, "portal"))
            seen.roles |= tiers.relays((name, owner) for name, owner in await postgres(conn, queries.RELAYS_POSTGRES))
            seen.parked["portal"] = (await postgres(conn, queries.PARKED_BY_PORTAL))[0][0]
            if self.event_id is not None:
                seen.undecided["sales"] = (await postgres(conn, queries.UNDECIDED_SALES, self.event_id))[0][0]
        return seen

    async def _billing(self) -> Seen:
        """In a transaction: a proxy leaves it on the writer, where it would send a lone SELECT to any node."""
        seen = Seen()
        async with self._stores.billing.transaction() as conn:
            seen.roles["galera writer"] = str((await mariadb(conn, queries.WRITER))[0][0])
            _note_sender(seen, "billing", await mariadb(conn, queries.SENDER_MARIADB, "billing"))
            _note_receiver(seen, "reservation", await mariadb(conn, queries.RECEIVER_MARIADB, "reservation"))
            seen.roles |= tiers.relays((name, owner) for name, owner in await mariadb(conn, queries.RELAYS_MARIADB))
            seen.parked["billing"] = (await mariadb(conn, queries.PARKED))[0][0]
            if self.event_id is not None:
                seen.undecided["orders"] = (await mariadb(conn, queries.UNDECIDED_ORDERS, self.event_id))[0][0]
                seen.undecided["payments"] = (await mariadb(conn, queries.UNDECIDED_PAYMENTS, self.event_id))[0][0]
        return seen

    async def _postgres(self) -> Seen:
        answers = await self._web.texts(named_urls(self._settings.patroni_urls), "/patroni", any_status=True)
        roles, present = tiers.postgres({node: _json(text) for node, text in answers.items()})
        return Seen(roles, present)

    async def _galera(self) -> Seen:
        async def status(node: str) -> Mapping[str, str]:
            try:
                async with self._stores.nodes[node].acquire(timeout_s=1) as conn:
                    return dict(await mariadb(conn, queries.GALERA))
            except (Unavailable, Indefinite, TimeoutError):
                return {}

        nodes = list(self._stores.nodes)
        roles, present = tiers.galera(dict(zip(nodes, await asyncio.gather(*map(status, nodes)), strict=True)))
        return Seen(roles, present)

    async def _etcd(self) -> Seen:
        roles, present = tiers.etcd(await self._web.texts(named_urls(self._settings.etcd_urls), "/metrics"))
        return Seen(roles, present)

    async def _rabbitmq(self) -> Seen:
        answers = await self._web.texts(named_urls(self._settings.rabbitmq_urls), RABBITMQ_FAMILIES)
        roles, present, queued = tiers.rabbitmq(answers, SALES_QUEUE)
        return Seen(roles, present, queued=queued)

    async def _relays(self) -> Seen:
        answers = await self._web.texts(named_urls(self._settings.relay_urls), "/metrics")
        for process, text in answers.items():
            for labels, value in tiers.series(text, "delivery_rewinds_total"):
                self._rewinds.see(process, labels["stream"], int(value))
        return Seen(rewinds=self._rewinds.by_stream())


class Counters:
    """Counters of processes that may restart, which begin at 0 again: the sum of what was counted while we watched."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}
        self._sums: dict[str, int] = {}
        self._known: set[str] = set()

    def see(self, process: str, name: str, value: int) -> None:
        before = self._last.get((process, name))
        if before is None:  # of a process that was there before us, what it had counted by then is not ours
            before = value if process not in self._known else 0
        self._sums[name] = self._sums.get(name, 0) + (value - before if value >= before else value)
        self._last[process, name] = value
        self._known.add(process)

    def by_stream(self) -> dict[str, int]:
        return dict(self._sums)


def _note_sender(seen: Seen, stream: str, rows: list[Row]) -> None:
    """A stream without a row has never been sent."""
    epoch, last, acked, backlog = rows[0] if rows else (0, 0, 0, 0)
    seen.ends[stream, "sender"] = (epoch, last, acked)
    seen.backlog[stream] = int(backlog)


def _note_receiver(seen: Seen, stream: str, rows: list[Row]) -> None:
    if rows:
        seen.ends[stream, "receiver"] = rows[0]


def streams(looks: Iterable[Look]) -> dict[str, StreamAt]:
    """Both ends of each stream, the receiver's read before the sender's: its watermark is never beyond what the sender
    is seen to have given. Of a receiver that has only been read later, the look before counts, if there is one."""
    found = list(looks)
    both: dict[str, StreamAt] = {}
    for look in found:
        for (stream, end), row in look.seen.ends.items():
            if end == "sender":
                both[stream] = StreamAt(row[0], row[1], row[2], _watermark(stream, look.began_s, found))
    return both


def _watermark(stream: str, sender_began_s: float, looks: Sequence[Look]) -> int | None:
    for look in looks:
        for at in (look, look.before):
            if at is not None and at.ended_s <= sender_began_s and (stream, "receiver") in at.seen.ends:
                return int(at.seen.ends[stream, "receiver"][1])
    return None


def _joined(parts: Any) -> Any:
    return {name: value for part in parts for name, value in part.items()}


def _json(text: str) -> Mapping[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
