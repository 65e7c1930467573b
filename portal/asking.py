"""When to ask for events again: pure but for the numbers it remembers; the time is passed in, in seconds.

Laws of this file:
- What is missing may be on its way: nobody is asked before the watermark has stood still for HOLE_S. A sender that has
  lost history is told at once.
- At most every ASK_EVERY_S for each stream; twice that the next time, and so on up to ASK_EVERY_MAX_S. Progress makes
  it short again. After ASKS_MAX without progress a person is called, and the asking goes on, slowly.
- What RESUMED_MAX replays did not bring is not to be had, and noted as a hole.
"""

from dataclasses import dataclass
from enum import Enum

from portal.positions import Position

HOLE_S = 10.0
ASK_EVERY_S = 30.0  # also how long bridges remember an order
ASK_EVERY_MAX_S = 600.0
ASKS_MAX = 5
RESUMED_MAX = 3


class Step(Enum):
    """What to do about a stream now."""

    WAIT = "wait"
    ASK = "ask"
    GIVE_UP = "give up"


@dataclass
class _Stream:
    position: Position
    moved_at: float
    asked_at: float | None = None
    asks: int = 0  # without progress since
    resumed: int = 0  # replays that began meanwhile
    behind: bool = False


class Asking:
    """What the portal misses of each stream, as far as this process has heard."""

    def __init__(self, hole_s: float = HOLE_S, ask_every_s: float = ASK_EVERY_S) -> None:
        self._hole_s = hole_s
        self._ask_every_s = ask_every_s
        self._streams: dict[str, _Stream] = {}

    def settled(
        self, stream: str, position: Position, now: float, *, behind: bool = False, resumed: bool = False
    ) -> None:
        """The stream stands there, durably. ``behind``: its sender said it has less; ``resumed``: a replay began."""
        known = self._streams.get(stream)
        if known is None:
            known = self._streams[stream] = _Stream(position, now)
        old = known.position
        if position.epoch != old.epoch or position.watermark > old.watermark or position.missing == 0:
            known.moved_at, known.asks, known.resumed = now, 0, 0
        elif old.missing == 0:
            known.moved_at = now  # only now is anything missing
        known.position = position
        known.behind = known.behind or behind
        if position.epoch != old.epoch:
            known.behind = False
        known.resumed = min(known.resumed + resumed, known.asks)  # told twice, it was one

    def step(self, stream: str, now: float) -> Step:
        known = self._streams[stream]
        asked_ago = float("inf") if known.asked_at is None else now - known.asked_at
        if asked_ago < self._pause_s(known):
            return Step.WAIT
        if known.behind:
            return Step.ASK
        if known.position.missing == 0 or now < known.moved_at + self._hole_s:
            return Step.WAIT
        return Step.GIVE_UP if known.resumed >= RESUMED_MAX else Step.ASK

    def asked(self, stream: str, now: float, *, heard: bool = True) -> bool:
        """Note that a request was made, and whether a bridge will hear it; whether a person should know by now."""
        known = self._streams[stream]
        known.asked_at = now
        if not heard:
            return False
        known.behind = False
        known.asks += 1
        return known.asks == ASKS_MAX

    @property
    def positions(self) -> dict[str, Position]:
        """As last heard of."""
        return {stream: known.position for stream, known in self._streams.items()}

    def stuck(self, stream: str) -> bool:
        """Whether ASKS_MAX requests have brought nothing."""
        return self._streams[stream].asks >= ASKS_MAX

    def _pause_s(self, known: _Stream) -> float:
        doublings = max(0, min(known.asks - 1, 10))
        return min(self._ask_every_s * float(2**doublings), max(ASK_EVERY_MAX_S, self._ask_every_s))
