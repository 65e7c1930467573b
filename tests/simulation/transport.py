"""One end of a simulated connection: what asyncio's transport is to a protocol.

Laws:
- Bytes of one direction arrive in order, whatever happens to them on the way; those of two connections in any order.
- An end belongs to a process. When that is killed, nothing more is heard of it; what had left it may still arrive.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.loop import Process
    from tests.simulation.network import Network


class End(asyncio.Transport):
    """``label``: for the trace. ``peer`` and ``protocol`` are set once both ends stand."""

    def __init__(self, network: Network, process: Process, label: str, *, serves: bool) -> None:
        super().__init__()
        self.label = label
        self.process = process
        self.serves = serves  # the listener's end
        self.stream = ""  # once HELLO has passed by
        self.peer: End = self
        self.protocol: Any = None
        self.lost = False  # connection_lost was called, or nobody is left to call
        self.muted = False  # what it sends from now on never arrives, and nobody is told
        self.last_at = 0.0  # when the last byte it sent arrives
        self.gapped = False  # a frame that it sent is gone
        self.stalled_until = 0.0  # its bytes arrive then at the earliest
        self.in_flight = 0  # bytes
        self._network = network
        self._closing = False
        self._finished = False  # it has said that it will write no more
        self._paused = False
        self._high = 65536

    # -- asyncio.Transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self.peer.process.name, 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 65536 if high is None else high

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return True

    def write(self, data: Any) -> None:
        assert not self._finished, "written after write_eof"
        if self.lost or self._closing or not data:
            return
        self._network.carry(self, bytes(data))
        if self.in_flight > self._high and not self._paused:
            self._paused = True
            self.protocol.pause_writing()

    def write_eof(self) -> None:
        if not self._finished:
            self._finished = True
            self._network.carry_end(self)

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self.write_eof()
        self._network.later(self, self.last_at if self.in_flight else 0.0, self.lose, None)

    def abort(self) -> None:
        self._closing = True
        if not self.lost:
            self._network.carry_reset(self)
            self._network.later(self, 0.0, self.lose, None)

    # -- what the network does to it, in the context of its process

    def accept(self, protocol: Any) -> None:
        self.protocol = protocol
        protocol.connection_made(self)
        if self.lost:  # reset before it was accepted
            protocol.connection_lost(ConnectionResetError("reset by peer"))

    def received(self, data: bytes) -> None:
        if not self.lost and not self._closing:
            self.protocol.data_received(data)

    def peer_finished(self) -> None:
        if not self.lost and not self._closing and not self.protocol.eof_received():
            self.close()

    def flushed(self) -> None:
        if self._paused and not self.lost and self.in_flight <= self._high // 4:
            self._paused = False
            self.protocol.resume_writing()

    def lose(self, error: Exception | None) -> None:
        if not self.lost:
            self._closing = self.lost = True
            self._network.forget(self)
            if self.protocol is not None:
                self.protocol.connection_lost(error)
