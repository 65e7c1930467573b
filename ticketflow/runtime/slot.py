"""What a pool knows of its connections, and of the driver that makes them."""

from collections.abc import Hashable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

C = TypeVar("C")


class Place(NamedTuple):
    """Where a connection leads: the address that was dialled, and the name of the server that answered there.

    Behind one address stand several servers, one after another: a proxy's, in their turns as the primary.
    """

    address: Hashable
    node: str


class Driver(Protocol[C]):
    """``connect`` raises Unavailable, and keeps a deadline of its own."""

    async def connect(self) -> C: ...

    @property
    def addresses(self) -> Sequence[Hashable]: ...

    def place(self, connection: C) -> Place: ...

    async def node_at(self, address: Hashable) -> str | None:
        """Who answers a newcomer at ``address`` now: "" when that cannot be told, None when nobody does.

        Keeps a deadline of its own; never raises; may be cancelled.
        """

    def avoid(self, address: Hashable) -> None:
        """The next connection is tried elsewhere first."""

    def usable(self, connection: C) -> bool:
        """Whether it is open, in step with its server, and outside any transaction, as far as this side has heard."""

    def discard(self, connection: C) -> None:
        """Cuts the connection; must neither wait nor raise. Whoever waits on it is told that it is lost."""


class Slot(Generic[C]):
    """One open connection. ``generation`` is the pool's when it was opened; times are the loop's, in s."""

    __slots__ = ("connection", "generation", "lent_at", "opened_at", "place")

    def __init__(self, connection: C, place: Place, generation: int, opened_at: float) -> None:
        self.connection = connection
        self.place = place
        self.generation = generation
        self.opened_at = opened_at
        self.lent_at = opened_at
