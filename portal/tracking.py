"""Keeps the positions of the streams in step with what is applied: in the transaction of the effect."""

import time
from collections.abc import Callable, Collection

from portal import metrics
from portal import store_streams as store
from portal.asking import Asking
from portal.claiming import Courses
from portal.following import Course
from portal.store_together import Together
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import Connection

log = get_logger("tracking")


class Tracking:
    """``asking`` is told where each stream stands after every COMMIT."""

    def __init__(self, asking: Asking, clock: Callable[[], float] = time.monotonic) -> None:
        self._asking = asking
        self._clock = clock
        self._foreign: dict[str, int] = {}  # logged already

    async def keep(self, together: Together, courses: Courses, fresh: Collection[str]) -> Courses:
        """Has the positions written together with what else a batch writes, where there is no more to do. The courses
        that are left for ``finish``. ``fresh``: events that were new."""
        rest = {}
        for stream, course in courses.items():
            if course.position is None or not course.is_plain(fresh):
                rest[stream] = course
            else:
                await store.save_position(together, stream, course.position)
        return rest

    async def finish(self, conn: Connection, courses: Courses, fresh: Collection[str]) -> int:
        """Writes the positions, and the phantoms found on the way; how many."""
        phantoms = 0
        for stream, course in courses.items():
            if course.position is None:
                continue
            present = [item.event_id for item in course.present if item.event_id is not None]
            for left in course.left:
                lost = await store.after(conn, stream, left.after_seq, present)
                rows = [(event_id, left.epoch, seq) for event_id, seq in lost.items()]
                phantoms += await store.quarantine(conn, stream, rows, "its sender was restored to before it")
            strays = [
                (item.event_id or "", item.epoch, item.seq)
                for item in course.strays
                if item.event_id in fresh and item.event_id not in present
            ]
            if strays:
                note = f"came while we were in epoch {course.position.epoch}"
                phantoms += await store.quarantine(conn, stream, strays, note)
            known = {item.event_id: item.seq for item in course.present if item.event_id and item.event_id not in fresh}
            if known:
                await store.returned(conn, stream, course.position.epoch, known)
            phantoms += await self._collisions(conn, stream, course, fresh)
            await store.save_position(conn, stream, course.position)
        return phantoms

    async def _collisions(self, conn: Connection, stream: str, course: Course, fresh: Collection[str]) -> int:
        current = course.current(fresh)
        others = await store.others_at(conn, stream, current) if current else {}
        if not others:
            return 0
        course.collided(min(others.values()))
        assert course.position is not None
        lost = [(event_id, course.position.epoch, seq) for event_id, seq in others.items()]
        return await store.quarantine(conn, stream, lost, "another event came under its seq")

    def tell(self, courses: Courses, phantoms: int) -> None:
        """What has been committed."""
        if phantoms:
            metrics.PHANTOMS.inc(phantoms)
            log.error("phantoms_quarantined", events=phantoms, streams=sorted(courses))
        for stream, course in courses.items():
            if course.position is None:
                continue
            position = course.position
            for left in course.left:
                metrics.FOLLOWED.labels(stream).inc()
                log.error(
                    "fork_followed", stream=stream, left=left.epoch, epoch=position.epoch, after_seq=left.after_seq
                )
            if course.behind:
                log.error("sender_behind", stream=stream, epoch=position.epoch, highest=position.highest)
            if course.foreign is not None and self._foreign.get(stream) != course.foreign:
                log.error("stream_foreign", stream=stream, epoch=position.epoch, sender_epoch=course.foreign)
            if course.foreign is None:
                self._foreign.pop(stream, None)
            else:
                self._foreign[stream] = course.foreign
            self._asking.settled(stream, position, self._clock(), behind=course.behind, resumed=course.resumed)
