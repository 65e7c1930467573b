"""The receiving end by hand: HELLO and frames without a feed."""

from collections.abc import Sequence
from typing import Any

from tests.contract.stores import Store
from ticketflow.delivery import Handler, Inbox
from ticketflow.events import Envelope, HoldReleased, encode
from ticketflow.feed import VERSION, Hello, Peer

STREAM = "orders"
PEER = Peer("127.0.0.1", 1)


def hello(*, epoch: int = 1, fence: int = 1, last_seq: int = 1000, forks: tuple[tuple[int, int], ...] = ()) -> Hello:
    return Hello(VERSION, STREAM, epoch, fence, last_seq, "sender", forks)


def inbox(store: Store, handler: Handler[Any] | None = None, **settings: Any) -> Inbox[Any]:
    """An inbox that knows one kind, the one that ``event`` makes."""
    handlers = {HoldReleased.kind: handler or store.write_effect}
    return Inbox(store.pool, store.dialect, stream=STREAM, handlers=handlers, **settings)


async def greeted(store: Store, handler: Handler[Any] | None = None, **settings: Any) -> Inbox[Any]:
    """The same, after the HELLO of ``hello()``."""
    receiver = inbox(store, handler, **settings)
    await receiver.hello(hello(), PEER)
    return receiver


async def watermark(receiver: Inbox[Any]) -> int | None:
    return (await receiver.hello(hello(), PEER)).watermark


def bodies(events: Sequence[Envelope]) -> list[bytes]:
    return [encode(event) for event in events]
