"""The seat map of an event: what never changes of it, made once, and the states of its places, written into it.

Laws of this file: pure. All places of an event stand in the order of their ids; a state is one letter. A state's word
in the JSON has four letters whichever it is, so that a change is four bytes overwritten in place: a map costs what
changed, not what there is.
"""

import re
from array import array
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from reservation import bodies

WORDS = {b"f": b"free", b"h": b"held", b"s": b"sold"}
WORD_BYTES = 4
_AFTER_WORD = len(b'"}')
_CHANGED = re.compile(rb"[^\0]")
_BY_LETTER = {letter[0]: word for letter, word in WORDS.items()}


class TierPlan(NamedTuple):
    tier_id: str
    name: str
    price_minor: int
    numbered: bool
    capacity: int


class Place(NamedTuple):
    """``row`` and ``number`` are None in general admission."""

    unit_id: str
    tier_id: str
    label: str
    row: str | None
    number: int | None


class Run(NamedTuple):
    """Places of one tier that follow each other."""

    tier: int
    start: int
    stop: int


class BadStates(ValueError):
    """The states are not those of this plan's places."""


class MapPlan:
    """Of one event. ``add`` every place, in the order of their ids; then ``show`` as often as you like."""

    def __init__(self, event_id: str, tiers: Sequence[TierPlan]) -> None:
        self.event_id = event_id
        self._tiers = tiers
        self._number = {tier.tier_id: number for number, tier in enumerate(tiers)}
        self._runs: list[Run] = []
        self._seats = bytearray(b"[")
        self._words = array("I")  # where the word of a place begins in _seats; 0: it is no numbered seat
        self._states = b""
        self.first_id = self.last_id = ""

    @property
    def places(self) -> int:
        return len(self._words)

    @property
    def bytes_held(self) -> int:
        return len(self._seats) + self._words.itemsize * len(self._words) + len(self._states)

    def add(self, places: Iterable[Place]) -> None:
        """As free."""
        for place in places:
            tier = self._number[place.tier_id]
            self._count(tier)
            self.first_id = self.first_id or place.unit_id
            self.last_id = place.unit_id
            if place.row is None or place.number is None:
                self._words.append(0)
                continue
            seat = bodies.Seat(
                seat_id=place.unit_id,
                label=place.label,
                row=place.row,
                number=place.number,
                tier=self._tiers[tier].name,
                state="free",
            )
            if len(self._seats) > 1:
                self._seats += b","
            self._seats += msgspec.json.encode(seat)
            self._words.append(len(self._seats) - _AFTER_WORD - WORD_BYTES)

    def show(self, states: bytes) -> bool:
        """Whether any state changed. ``states``: a letter for each place. Raises BadStates."""
        if len(states) != len(self._words) or states.strip(b"fhs"):
            raise BadStates(f"{len(states)} states for {len(self._words)} places")
        before = self._states or b"f" * len(states)
        changed = int.from_bytes(before, "big") ^ int.from_bytes(states, "big")
        first = not self._states
        self._states = states
        for found in _CHANGED.finditer(changed.to_bytes(len(states), "big")):
            place = found.start()
            if word := self._words[place]:
                self._seats[word : word + WORD_BYTES] = _BY_LETTER[states[place]]
        return first or changed != 0

    @property
    def seats(self) -> bytes:
        """The JSON array of the numbered seats; a copy."""
        return bytes(self._seats) + b"]"

    def tiers(self) -> list[bodies.Tier]:
        """With the counts of what is shown."""
        counts = [[0, 0, 0] for _ in self._tiers]
        for run in self._runs:
            for number, letter in enumerate(WORDS):
                counts[run.tier][number] += self._states.count(letter, run.start, run.stop)
        return [
            bodies.Tier(
                name=tier.name,
                price_minor=tier.price_minor,
                numbered=tier.numbered,
                capacity=tier.capacity,
                free=free,
                held=held,
                sold=sold,
            )
            for tier, (free, held, sold) in zip(self._tiers, counts, strict=True)
        ]

    def _count(self, tier: int) -> None:
        place = len(self._words)
        if self._runs and self._runs[-1].tier == tier:
            self._runs[-1] = self._runs[-1]._replace(stop=place + 1)
        else:
            self._runs.append(Run(tier, place, place + 1))
