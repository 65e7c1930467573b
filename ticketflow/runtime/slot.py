"""What a pool knows of its connections, and of the driver that makes them."""

from typing import Generic, Protocol, TypeVar

C = TypeVar("C")


class Driver(Protocol[C]):
    """``connect`` raises Unavailable, and keeps a deadline of its own."""

    async def connect(self) -> C: ...

    def usable(self, connection: C) -> bool:
        """Whether it is open, in step with its server, and outside any transaction, as far as this side has heard."""

    def discard(self, connection: C) -> None:
        """Cuts the connection; must neither wait nor raise."""


class Slot(Generic[C]):
    """One open connection. ``generation`` is the pool's when it was opened; ``opened_at`` is the loop's time, in s."""

    __slots__ = ("connection", "generation", "opened_at")

    def __init__(self, connection: C, generation: int, opened_at: float) -> None:
        self.connection = connection
        self.generation = generation
        self.opened_at = opened_at
