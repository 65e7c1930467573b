"""Asks the bridges for what is missing: see portal.asking for when, and bridge.rewinds for what becomes of it."""

import time
from collections.abc import Awaitable, Callable

from portal import metrics
from portal import store_streams as store
from portal.asking import Asking, Step
from portal.positions import Position, counted, gaps
from ticketflow.events.replay import Standing, encode_request
from ticketflow.events.topology import REPLAY_EXCHANGE
from ticketflow.runtime.amqp import Broker, Outgoing
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.postgres import PostgresPool

LOOK_EVERY_S = 1.0

log = get_logger("asker")


class Asker:
    """A worker. ``broker`` is its own: a request that goes wrong must not end the consumer's session."""

    def __init__(
        self, pool: PostgresPool, broker: Broker, asking: Asking, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._broker = broker
        self._asking = asking
        self._clock = clock

    async def run_once(self) -> int:
        for stream, position in self._asking.positions.items():
            metrics.WATERMARK.labels(stream).set(position.watermark)
            metrics.MISSING.labels(stream).set(position.missing)
            step = self._asking.step(stream, self._clock())
            if step is not Step.WAIT and await self._holds(stream, position):
                act: Callable[[str, Position], Awaitable[None]] = self._ask if step is Step.ASK else self._give_up
                await act(stream, position)
            metrics.STUCK.labels(stream).set(self._asking.stuck(stream))
        return 0

    async def _holds(self, stream: str, position: Position) -> bool:
        """Whether the stream still stands there: another portal may have the queue by now."""
        async with self._pool.acquire() as conn:
            stored = await store.position(conn, stream)
        if stored == position:
            return True
        if stored is not None:
            self._asking.settled(stream, stored, self._clock())
        return False

    async def _ask(self, stream: str, position: Position) -> None:
        standing = Standing(stream=stream, epoch=position.epoch, watermark=position.watermark, highest=position.highest)
        try:
            session = await self._broker.session()
            failure: Exception | None = (
                await session.publish([Outgoing(REPLAY_EXCHANGE, stream, {}, encode_request(standing))])
            ).failure
        except (Unavailable, Indefinite) as fault:
            failure = fault
        finally:
            await self._broker.close()
        metrics.REQUESTS.labels(stream, "sent" if failure is None else "failed").inc()
        call = self._asking.asked(stream, self._clock(), heard=failure is None)
        log.warning(
            "replay_requested",
            stream=stream,
            epoch=position.epoch,
            watermark=position.watermark,
            highest=position.highest,
            missing=position.missing,
            error=None if failure is None else str(failure),
        )
        if call:
            log.error("stream_stuck", stream=stream, watermark=position.watermark, missing=position.missing)

    async def _give_up(self, stream: str, position: Position) -> None:
        """What several replays did not bring is noted as holes, and the watermark moves over them."""
        async with self._pool.transaction() as conn:
            if (await store.lock_positions(conn, [stream])).get(stream) != position:
                return
            holes = gaps(position)
            for hole in holes:
                await store.note_hole(conn, stream, position.epoch, hole, "several replays did not bring it")
            moved = counted(position, holes)
            await store.save_position(conn, stream, moved)
        metrics.HOLES.labels(stream).inc(len(holes))
        log.error("holes_noted", stream=stream, epoch=position.epoch, holes=holes[:10], events=position.missing)
        self._asking.settled(stream, moved, self._clock())
