"""Heartbeats of an AMQP connection: ours go out when nothing else has, and a node that says nothing is dead.

Beats are counted, not seconds: a process that stood still itself finds its input before it judges anybody.
"""

import asyncio
from collections.abc import Callable

SILENT_BEATS_MAX = 4


class Pulse:
    """``send`` writes a heartbeat; ``dead`` is called once, with the reason. Set ``silent_beats`` to 0 when anything
    has come, and ``wrote`` when anything has gone out."""

    def __init__(self, send: Callable[[], None], dead: Callable[[str], None]) -> None:
        self.silent_beats = 0
        self.wrote = False  # since the last beat
        self._send = send
        self._dead = dead
        self._beat_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self, heartbeat_s: int) -> None:
        """``heartbeat_s``: as agreed; 0: none. Two beats each."""
        if heartbeat_s:
            self._beat_s = heartbeat_s / 2
            self._wait()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._beat_s, self._beat)

    def _beat(self) -> None:
        self.silent_beats += 1
        if self.silent_beats > SILENT_BEATS_MAX:
            self._dead(f"the node has said nothing for {SILENT_BEATS_MAX * self._beat_s:g} s")
            return
        if not self.wrote:
            self._send()
        self.wrote = False
        self._wait()
