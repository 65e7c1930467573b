"""What readers are shown of an event: its seat map and its page, from memory, as old as is promised at most."""

from datetime import datetime

import msgspec

from reservation import bodies, store_catalogue, store_maps
from reservation.maps.plan import BadStates, MapPlan
from reservation.maps.seen import Long, Seen, etag_of
from reservation.maps.snapshots import Limits, Snapshots
from reservation.readers import Readers
from reservation.store_maps import States
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection

PAGES_BYTES_MAX = 4 * 1024 * 1024

log = get_logger("shown")


class _Head(msgspec.Struct, frozen=True):
    """bodies.Availability without its seats, whose bytes follow."""

    event_id: str
    as_of: datetime
    tiers: list[bodies.Tier]


class SeatMap(Seen):
    """``plan`` makes the next one of it."""

    def __init__(self, plan: MapPlan, first: bytes, rest: Long, etag: str) -> None:
        super().__init__(first, rest, etag, plan.bytes_held)
        self.plan = plan


class Shown:
    def __init__(self, readers: Readers, limits: Limits) -> None:
        self._readers = readers
        self._maps = Snapshots("maps", self._look_at_places, limits)
        self._pages = Snapshots("pages", self._look_at_page, limits._replace(bytes_max=PAGES_BYTES_MAX))

    async def seat_map(self, event_id: str, *, fresh: bool) -> Seen:
        """JSON of bodies.Availability. Raises Refused `event_unknown`, Unavailable."""
        return await self._maps.read(event_id, fresh=fresh)

    async def page(self, event_id: str, *, fresh: bool) -> Seen:
        """JSON of bodies.EventWithTiers. Raises Refused `event_unknown`, Unavailable."""
        return await self._pages.read(event_id, fresh=fresh)

    def outdate(self, event_id: str) -> None:
        """The event was closed or opened by this replica."""
        self._pages.outdate(event_id)

    async def _look_at_places(self, event_id: str, before: SeatMap | None) -> SeatMap:
        if before is not None:
            try:
                states = await self._readers.ask(lambda conn: store_maps.read_states(conn, before.plan))
                return _shown(before.plan, states, before.rest)
            except BadStates as error:  # another database than before: it was restored
                log.warning("seat_map_made_anew", event_id=event_id, error=str(error))
        plan, states = await self._readers.ask(lambda conn: _all_of(conn, event_id))
        return _shown(plan, states, None)

    async def _look_at_page(self, event_id: str, _before: Seen | None) -> Seen:
        page = msgspec.json.encode(await self._readers.ask(lambda conn: store_catalogue.read_event(conn, event_id)))
        return Seen(page, Long(b""), etag_of(page))


async def _all_of(conn: Connection, event_id: str) -> tuple[MapPlan, States]:
    plan = await store_maps.read_plan(conn, event_id)
    return plan, await store_maps.read_states(conn, plan)


def _shown(plan: MapPlan, states: States, rest: Long | None) -> SeatMap:
    changed = plan.show(states.states)
    if changed or rest is None:
        rest = Long(plan.seats + b"}")
    head = msgspec.json.encode(_Head(plan.event_id, states.as_of, plan.tiers()))
    first = head[:-1] + b',"seats":'
    return SeatMap(plan, first, rest, etag_of(plan.event_id.encode(), states.states))
