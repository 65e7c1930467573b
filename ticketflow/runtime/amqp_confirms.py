"""Which publishes of a channel wait for the broker's word, and what it has said. Pure: no broker, no clock.

Laws of this file:
- A tag counts publishes of one channel from 1. The broker settles one tag, or all up to one, in any order of its own.
- A message that came back (mandatory, and no queue for it) is confirmed as well, right after: it has failed.
- Of a batch only what stands before the first that is not confirmed counts: see Published.
"""

from collections.abc import Callable

from ticketflow.runtime.errors import RuntimeFault


class Batch:
    """Messages published together. ``wake`` is called when it is worth a look."""

    __slots__ = ("faults", "tags", "waiting", "wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self.wake = wake
        self.tags: list[int] = []  # in the order of the messages
        self.waiting = 0  # how many of them are not settled
        self.faults: dict[int, RuntimeFault] = {}  # by tag


class Confirms:
    """The publishes of one channel."""

    def __init__(self) -> None:
        self.last_tag = 0
        self.settled = 0  # messages that have been settled, one way or the other
        self.bytes = 0  # of the frames of those that have not
        self._waiting: dict[int, tuple[Batch, int]] = {}  # by tag, in order

    @property
    def waiting(self) -> int:
        """How many messages are not settled."""
        return len(self._waiting)

    def add(self, batch: Batch, size: int) -> int:
        """Counts one message of ``batch`` in, of so many bytes; its tag."""
        self.last_tag = tag = self.last_tag + 1
        self._waiting[tag] = (batch, size)
        self.bytes += size
        batch.tags.append(tag)
        batch.waiting += 1
        return tag

    def settle(self, tag: int, multiple: bool, fault: RuntimeFault | None = None) -> None:
        """The broker's ack, or with a ``fault`` its nack. What it says of tags that do not wait is no news."""
        waiting = self._waiting
        if not multiple:
            if tag in waiting:
                self._settle_one(tag, fault)
            return
        while waiting:
            first = next(iter(waiting))
            if first > tag and tag != 0:  # 0 with multiple: all that there is
                break
            self._settle_one(first, fault)

    def came_back(self, tag: int, fault: RuntimeFault) -> None:
        """No queue took the message; its confirm follows."""
        if tag in self._waiting:
            self._waiting[tag][0].faults[tag] = fault

    def outcome(self, batch: Batch) -> tuple[int, RuntimeFault | None]:
        """How many messages of ``batch``, from its first, are confirmed; what is wrong with the next, if known."""
        for position, tag in enumerate(batch.tags):
            if tag in batch.faults or tag in self._waiting:
                return position, batch.faults.get(tag)
        return len(batch.tags), None

    def _settle_one(self, tag: int, fault: RuntimeFault | None) -> None:
        batch, size = self._waiting.pop(tag)
        self.bytes -= size
        self.settled += 1
        batch.waiting -= 1
        if fault is not None:
            batch.faults[tag] = fault
