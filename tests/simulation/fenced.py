"""A receiver that says under which fencing token it works."""

from collections.abc import Sequence

from tests.simulation.session import fence_of
from ticketflow.feed import Hello, Peer, Position, Receiver


class Fenced:
    """Remembers under which fencing token a batch comes, for the checkers."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        return await self._receiver.hello(hello, peer)

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        token = fence_of.set(hello.fence)
        try:
            return await self._receiver.apply(hello, first_seq, bodies)
        finally:
            fence_of.reset(token)
