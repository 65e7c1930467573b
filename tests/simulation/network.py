"""The network between the processes: late, cut in any place, one-way, half-open, partitioned; and two broken proxies.

Laws:
- It lives outside of all processes. What was sent arrives when it arrives, after newer connections' bytes too.
- Frames are dropped or doubled only on purpose (``WireRates``): TCP does neither, a receiver must bear both.
"""

import asyncio
import contextvars
import random
from collections.abc import Callable
from typing import Any

from tests.simulation import wiretap
from tests.simulation.loop import Process, SimulatedLoop, current_process
from tests.simulation.rates import WireRates
from tests.simulation.trace import Trace
from tests.simulation.transport import End

LATENCY_S = 0.005


class Network:
    """``on_ack`` is told of each ACK that a receiver writes."""

    def __init__(self, loop: SimulatedLoop, rng: random.Random, rates: WireRates, trace: Trace) -> None:
        self.loop = loop
        self.rng = rng
        self.rates = rates
        self.trace = trace
        self.tap: Callable[[End, bytes], None] = self._tap  # looks into what passes by
        self.on_ack: Callable[[End, int], None] = lambda _end, _seq: None
        self.listening: dict[tuple[str, int], tuple[Process, Callable[[str], Any]]] = {}
        self.ends: dict[End, None] = {}  # those that the processes hold
        self._blocked: dict[frozenset[str], float] = {}
        self._made = 0
        self._context = contextvars.copy_context()
        loop.connect = self.connect

    # -- connections

    async def connect(self, factory: Callable[[], Any], host: str, port: int) -> tuple[End, Any]:
        process = current_process()
        await asyncio.sleep(self.rng.random() * LATENCY_S)
        blocked_s = self._blocked.get(frozenset((process.name, host)), 0.0) - self.loop.time()
        if blocked_s > 0:
            await asyncio.sleep(blocked_s)
        server, admit = self.listening.get((host, port), (None, None))
        if server is None or admit is None or not server.alive or self.rng.random() < self.rates.refuse:
            raise ConnectionRefusedError("nobody listens")
        self._made += 1
        label = f"{process.name}-{server.name}#{self._made}"
        mine, theirs = (End(self, whose, label, serves=whose is server) for whose in (process, server))
        mine.peer, theirs.peer = theirs, mine
        self.ends[mine] = self.ends[theirs] = None
        self._say(process.name, f"connected {label}")
        self.loop.call_soon(self._arrived, theirs, admit, context=server.context)
        mine.accept(factory())
        return mine, mine.protocol

    def _arrived(self, end: End, admit: Callable[[str], Any]) -> None:
        protocol = admit(end.peer.process.name)
        if protocol is None:
            end.abort()
        else:
            end.accept(protocol)

    def forget(self, end: End) -> None:
        self.ends.pop(end, None)

    def killed(self, process: Process) -> None:
        """Its connections are reset by its kernel; or its machine died with it, and nobody hears of it."""
        for end in [end for end in self.ends if end.process is process]:
            end.lost = True
            self.forget(end)
            if self.rng.random() < 0.7:
                self.carry_reset(end)
        for address in [address for address, (of, _) in self.listening.items() if of is process]:
            del self.listening[address]

    def block(self, one: str, other: str, until: float) -> None:
        """A partition: what is sent between the two arrives after it."""
        self._blocked[frozenset((one, other))] = until

    def heal(self) -> None:
        """All faults are over; a proxy that loses frames is gone, and the connections through it with it."""
        self._blocked.clear()
        for end in tuple(self.ends):
            end.stalled_until = 0.0
            if end.gapped:
                self._say(end.process.name, f"{end.label} is cut: a frame of it is lost")
                self.cut(end)

    def cut(self, end: End) -> None:
        """The connection breaks; each end hears of it in its own time, what is on the way is lost."""
        for side in (end, end.peer):
            side.muted = True
            self.later(side, self.loop.time() + self.rng.random() * 0.5, side.lose, ConnectionResetError("cut"))

    # -- bytes

    def carry(self, end: End, data: bytes) -> None:
        rng, rates = self.rng, self.rates
        if (rates.drop or rates.duplicate) and (draw := rng.random()) < rates.drop + rates.duplicate:
            data = self._mangled(end, data, drops=draw < rates.drop)
        if end.serves or not end.stream or self.trace.on:
            self.tap(end, data)
        breaks = rates.cut and rng.random() < rates.cut
        if breaks:
            data = data[: rng.randrange(len(data) + 1)]
        cuts = sorted(rng.randrange(len(data)) for _ in range(rng.randint(1, 2))) if self._chops(data) else []
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True):
            if start < stop:
                end.in_flight += stop - start
                self.loop.call_at(self._arrival(end), self._arrive, end, data[start:stop], context=self._context)
        if breaks:
            self._say(end.process.name, f"{end.label} breaks")
            self.loop.call_at(end.last_at, self.cut, end, context=self._context)

    def carry_end(self, end: End) -> None:
        self._send(end, end.peer.peer_finished)

    def carry_reset(self, end: End) -> None:
        self._send(end, end.peer.lose, ConnectionResetError("reset by peer"))

    def later(self, end: End, at: float, callback: Callable[..., None], *args: Any) -> None:
        """Call back in the end's own process, not before ``at``."""
        if at <= self.loop.time():
            self.loop.call_soon(callback, *args, context=end.process.context)
        else:
            self.loop.call_at(at, callback, *args, context=end.process.context)

    def _send(self, end: End, callback: Callable[..., None], *args: Any) -> None:
        if not end.muted:
            at = self._arrival(end)
            self.loop.call_at(at, self._hand_over, end, callback, args, context=self._context)

    def _arrive(self, end: End, data: bytes) -> None:
        end.in_flight -= len(data)
        if not end.lost:
            self.loop.call_soon(end.flushed, context=end.process.context)
        self._hand_over(end, end.peer.received, (data,))

    def _hand_over(self, end: End, callback: Callable[..., None], args: tuple[Any, ...]) -> None:
        if not end.muted and not end.peer.lost:
            self.loop.call_soon(callback, *args, context=end.peer.process.context)

    def _chops(self, data: bytes) -> bool:
        return len(data) > 1 and self.rng.random() < self.rates.chop

    def _arrival(self, end: End) -> float:
        """When what ``end`` sends now arrives: after all that it sent before."""
        draw = self.rng.random()
        at = self.loop.time() + (self.rng.random() if draw < self.rates.slow else draw * LATENCY_S)
        blocked = self._blocked.get(frozenset((end.process.name, end.peer.process.name)), 0.0)
        if blocked > at:
            at = blocked + draw * LATENCY_S
        end.last_at = max(at, end.last_at, end.stalled_until)
        return end.last_at

    # -- frames

    def _mangled(self, end: End, data: bytes, *, drops: bool) -> bytes:
        frames = wiretap.frames(data)
        at = self.rng.randrange(len(frames))
        self._say(end.process.name, f"{end.label} {'drops' if drops else 'doubles'} {wiretap.name(frames[at])}")
        end.gapped = end.gapped or drops
        frames[at : at + 1] = [] if drops else [frames[at]] * 2
        return b"".join(frames)

    def _tap(self, end: End, data: bytes) -> None:
        for frame in wiretap.frames(data):
            if not end.serves and not end.stream:
                end.stream = end.peer.stream = wiretap.stream_of(frame)
            if end.serves and (seq := wiretap.acked(frame)) is not None:
                self.on_ack(end, seq)
            if self.trace.on:
                self._say(end.process.name, f"{end.label} > {wiretap.name(frame)}")

    def _say(self, who: str, what: str) -> None:
        if self.trace.on:
            self.trace.say(self.loop.time(), who, what)
