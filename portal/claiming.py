"""What a batch takes before it writes: positions, dedup keys, sales (see store_claim for the order of the locks).

One round trip if each stream stands in the epoch of all its messages, as it nearly always does: then it is known before
the look at the position which seqs count. Else the positions are looked at first.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from portal import store_claim, store_streams
from portal.following import Course, Source
from portal.positions import Position
from portal.sale import Sale
from portal.store_claim import Coming
from portal.understanding import Fact
from ticketflow.events.replay import StreamPosition
from ticketflow.runtime.postgres import Connection

Item = Source | StreamPosition
Courses = Mapping[str, Course]
Came = Mapping[str, Mapping[str, int | None]]  # by stream: events, and the seqs to record where they count


class Claimed(NamedTuple):
    """``new``: events that had not been recorded. ``heads``: the sales of ``facts`` that are known, if any is new."""

    courses: Courses
    new: set[str]
    heads: Sequence[Sale]


async def claim(conn: Connection, items: Iterable[Item], facts: Mapping[str, Fact], source: str) -> Claimed:
    """Locks, follows and records. ``items``: what tells of positions, in order; ``facts``: by event id; ``source``:
    under which an event is recorded that came by no stream."""
    by_stream: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_stream[item.stream].append(item)
    orders = {fact.view.order_id for fact in facts.values()}
    epochs = _epochs(by_stream)
    if epochs is None:
        courses = _followed(by_stream, await store_streams.lock_positions(conn, sorted(by_stream)))
    else:
        came = {stream: _came(of_it) for stream, of_it in by_stream.items()}
        found = await store_claim.claim(conn, epochs, _coming(came, facts, source), orders)
        courses = _followed(by_stream, found.positions)
        if found.new is not None:
            return Claimed(courses, found.new, found.heads)
    came = {stream: course.came for stream, course in courses.items()}
    found = await store_claim.claim(conn, {}, _coming(came, facts, source), orders)
    return Claimed(courses, found.new or set(), found.heads)


def _epochs(by_stream: Mapping[str, Sequence[Item]]) -> dict[str, int] | None:
    """The epoch of each stream, if it is the same in all its messages and nothing else is said of it."""
    epochs: dict[str, int] = {}
    for stream, items in by_stream.items():
        for item in items:
            if isinstance(item, StreamPosition) or epochs.setdefault(stream, item.epoch) != item.epoch:
                return None
    return epochs


def _came(items: Sequence[Item]) -> dict[str, int | None]:
    """As Course.came, all being of its epoch."""
    return {item.event_id: item.seq for item in items if isinstance(item, Source) and item.event_id is not None}


def _followed(by_stream: Mapping[str, Sequence[Item]], known: Mapping[str, Position]) -> Courses:
    courses = {stream: Course(known.get(stream)) for stream in sorted(by_stream)}
    for stream, course in courses.items():
        course.take(by_stream[stream])
    return courses


def _coming(came: Came, facts: Mapping[str, Fact], source: str) -> list[Coming]:
    """Each fact, with the first of its streams."""
    coming = {
        event_id: Coming(event_id, stream, seq, facts[event_id].envelope.key)
        for stream in sorted(came, reverse=True)
        for event_id, seq in came[stream].items()
        if event_id in facts
    }
    return [
        coming.get(event_id) or Coming(event_id, source, None, fact.envelope.key) for event_id, fact in facts.items()
    ]
