"""Publishing with confirms on one channel: many messages in one write, and the broker's word about many at once.

Laws of this file:
- A call's messages go out in their order, and calls do not get into each other's way.
- What is in flight is bounded, in messages and bytes. It is filled up when it has fallen by half, so that writes stay
  large however small the confirms are.
- A failure stops what has not gone out; what has is waited for: without its confirms, second copies would race with it.
- While the node says that it is blocked nothing goes out and nobody loses patience: more copies would only add to its
  trouble.
"""

import asyncio
from collections.abc import Callable, Sequence
from uuid import uuid4

from ticketflow.runtime.amqp_confirms import Batch, Confirms
from ticketflow.runtime.amqp_connection import Connection
from ticketflow.runtime.amqp_content import published
from ticketflow.runtime.amqp_message import Outgoing, Published
from ticketflow.runtime.errors import Indefinite, Unavailable

CONFIRM_TIMEOUT_S = 5.0  # without any confirm; a quorum queue that elects a leader needs one or two seconds
IN_FLIGHT_MAX = 512  # messages: a quorum queue is busy with 128, and the rest covers the time until more arrive
IN_FLIGHT_BYTES_MAX = 4 * 1024 * 1024  # save the last one
WRITE_BYTES_MAX = 256 * 1024  # save the last message

GiveUp = Callable[[str, bool], None]


class Publishing:
    """``give_up`` ends the session: why, and whether its node has failed. The session calls ``end`` then."""

    def __init__(self, connection: Connection, channel: int, give_up: GiveUp) -> None:
        self._connection = connection
        self._channel = channel
        self._give_up = give_up
        self._lost: str | None = None
        self._confirms = Confirms()
        self._batches: set[Batch] = set()  # under way
        self._refused = False
        self._ids = (
            uuid4().hex[:16].encode()
        )  # with the tag it is unique to each attempt: what came back is found by it

    async def publish(self, messages: Sequence[Outgoing]) -> Published:
        """See ``Session.publish``."""
        changed = asyncio.Event()
        batch = Batch(changed.set)
        self._batches.add(batch)
        position = 0
        try:
            while self._lost is None and not batch.faults and position < len(messages):
                if self._has_room:
                    position = self._fill(batch, messages, position)
                else:
                    await self._progress(changed)
            while self._lost is None and batch.waiting:
                await self._progress(changed)
        finally:
            self._batches.discard(batch)
        confirmed, failure = self._confirms.outcome(batch)
        if failure is None and confirmed < len(messages):
            failure = Indefinite(f"RabbitMQ session lost before the confirm: {self._lost}")
        if self._refused:
            self._give_up("a message was refused", False)
        return Published(confirmed, failure)

    def settled(self, tag: int, *, multiple: bool, acked: bool) -> None:
        """The broker's word: see ``Listener.on_settled``."""
        if acked:
            self._confirms.settle(tag, multiple)
        else:
            self._refused = True
            refused = Unavailable("RabbitMQ refused a message (nack): its queue is full or unavailable")
            self._confirms.settle(tag, multiple, refused)
        room = self._has_room
        for batch in self._batches:
            if room or batch.faults or not batch.waiting:
                batch.wake()

    def returned(self, message_id: str, exchange: str, routing_key: str) -> None:
        """It has no queue."""
        ids, _, tag = message_id.partition("-")
        if ids.encode() == self._ids and tag.isdecimal():
            self._confirms.came_back(
                int(tag), Unavailable(f"RabbitMQ has no queue for {routing_key!r} on {exchange!r}")
            )

    def look(self) -> None:
        """Something has changed that concerns all that is under way."""
        for batch in self._batches:
            batch.wake()

    def end(self, why: str) -> None:
        """The session is lost: what is not confirmed will not be."""
        self._lost = self._lost or why
        self.look()

    @property
    def _has_room(self) -> bool:
        confirms = self._confirms
        return (
            confirms.waiting <= IN_FLIGHT_MAX // 2
            and confirms.bytes <= IN_FLIGHT_BYTES_MAX // 2
            and self._connection.may_publish
        )

    def _fill(self, batch: Batch, messages: Sequence[Outgoing], position: int) -> int:
        """Writes from ``position`` on until no more may be in flight; up to where. Raises ValueError."""
        confirms = self._confirms
        while position < len(messages) and self._connection.may_publish:
            most = IN_FLIGHT_MAX - confirms.waiting
            size_max = min(WRITE_BYTES_MAX, IN_FLIGHT_BYTES_MAX - confirms.bytes)
            if most <= 0 or size_max <= 0:
                break
            frames = self._frames(messages, position, most, size_max)
            for frame in frames:
                confirms.add(batch, len(frame))
            self._connection.write(b"".join(frames))
            position += len(frames)
        return position

    def _frames(self, messages: Sequence[Outgoing], position: int, most: int, size_max: int) -> list[bytes]:
        """Of each message, from ``position`` on, those of its publish: of one at least."""
        channel, frame_max, tag = self._channel, self._connection.frame_max, self._confirms.last_tag
        frames: list[bytes] = []
        size = 0
        for message in messages[position : position + most]:
            tag += 1
            frames.append(published(message, b"%s-%d" % (self._ids, tag), channel, frame_max))
            size += len(frames[-1])
            if size >= size_max:
                break
        return frames

    async def _progress(self, changed: asyncio.Event) -> None:
        """Until something has changed; ends the session when nothing does."""
        before = self._confirms.settled
        changed.clear()
        try:
            async with asyncio.timeout(CONFIRM_TIMEOUT_S):
                await changed.wait()
        except TimeoutError:
            if self._confirms.settled == before and not self._connection.blocked:
                self._give_up(f"no confirm within {CONFIRM_TIMEOUT_S:g} s", True)
