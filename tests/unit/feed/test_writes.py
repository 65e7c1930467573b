"""How much goes out in one write: over TLS each one costs more, so there are fewer."""

import asyncio
from typing import Any, cast

import pytest

from tests.unit.feed.link import HELLO, framed
from ticketflow.feed import Limits
from ticketflow.feed.link import FLUSH_BYTES, TLS_FLUSH_BYTES, Link
from ticketflow.feed.messages import Welcome
from ticketflow.feed.sending import SenderProtocol

EVENT = b"x" * 1024


class Transport:
    """Notes the lengths of what is written."""

    def __init__(self, *, tls: bool) -> None:
        self.writes: list[int] = []
        self._tls = tls

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return object() if self._tls and name == "ssl_object" else default

    def set_write_buffer_limits(self, high: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytearray) -> None:
        self.writes.append(len(data))


@pytest.mark.parametrize(("tls", "least"), [(False, FLUSH_BYTES), (True, TLS_FLUSH_BYTES)])
async def test_what_is_sent_in_one_turn_leaves_in_writes_of_a_size(tls: bool, least: int) -> None:
    core = SenderProtocol(HELLO, Limits(), asyncio.get_running_loop().time())
    link, transport = Link(core, lambda _event: None, lambda: None), Transport(tls=tls)
    link.connection_made(cast(asyncio.Transport, transport))
    link.data_received(framed(Welcome(1, 1, 100, 2048, 2 * 1024 * 1024, 2000, 6000, "billing-1")))
    await asyncio.sleep(0)
    transport.writes.clear()
    for seq in range(101, 351):  # 250 KiB, one event at a time, in one turn
        core.offer(seq, [EVENT], 0, asyncio.get_running_loop().time())
        link.settle()
    longest = least + 2 * len(EVENT)
    assert len(transport.writes) == 250 * len(EVENT) // least
    assert all(least <= size <= longest for size in transport.writes)
    await asyncio.sleep(0)
    assert sum(transport.writes) > 250 * len(EVENT)  # the rest, at the end of the turn
    link.connection_lost(None)


def test_a_write_over_tls_is_the_longer_one() -> None:
    assert FLUSH_BYTES < TLS_FLUSH_BYTES
