"""The terminal while drills run: one live line and the news above it; a table at the end.

Laws of this file:
- It is told the time (``Tick.at_s``) and asks no clock; it is told what to write on, and whether that is a terminal.
- Where there is no terminal (CI, a file) nothing is rewritten: a line every QUIET_S seconds instead.
"""

import shutil
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TextIO

import msgspec

from drills.measures import LEADERS, is_led
from drills.table import figures_line, reasons, table, words
from drills.verdict import Judged, Verdict

QUIET_S = 5.0
RATE_OVER_S = 5.0  # holds/s is told as the mean of so long
CLEAR_LINE = "\r\x1b[2K"
COLOURS = {"safe": "\x1b[32m", "missed": "\x1b[33m", "unsafe": "\x1b[31m", "dim": "\x1b[2m"}
PLAIN = "\x1b[0m"


class Tick(msgspec.Struct, frozen=True):
    """The drill at one moment, about once a second. Counts are of the whole drill so far."""

    phase: str  # steady, faults, heal, drain, check
    at_s: float  # since the drill began
    buyers: int  # who came
    inside: int  # who are still there
    holds: int  # acknowledged
    errors: int
    backlog: int = 0  # of all streams
    faults: tuple[str, ...] = ()  # at work now, as they describe themselves
    roles: Mapping[str, str] = {}


class Progress:
    """``tty``: whether lines can be rewritten and coloured."""

    def __init__(self, out: TextIO, *, tty: bool, columns: int = 100) -> None:
        self._out = out
        self._tty = tty
        self._columns = columns
        self._title = ""
        self._recent: deque[tuple[float, int]] = deque()
        self._told_s = 0.0
        self._roles: dict[str, str] = {}
        self._live = False

    @classmethod
    def on(cls, out: TextIO) -> "Progress":
        return cls(out, tty=out.isatty(), columns=shutil.get_terminal_size((100, 24)).columns)

    # -- one drill

    def began(self, name: str, about: str = "", *, number: int = 1, of: int = 1) -> None:
        self._title = name if of == 1 else f"{number}/{of} {name}"
        self._recent.clear()
        self._told_s = -QUIET_S
        self._roles = {}
        self.say(f"{self._title}: {about}" if about else self._title)

    def tick(self, tick: Tick) -> None:
        """Who leads is news as soon as it changes."""
        for role, holder in tick.roles.items():
            before = self._roles.get(role)
            if is_led(role) and holder and before not in (None, holder):
                self.say(f"  {tick.at_s:6.1f} s  {role}: {before} -> {holder}")
            if holder:
                self._roles[role] = holder
        self._recent.append((tick.at_s, tick.holds))
        while self._recent[0][0] < tick.at_s - RATE_OVER_S:
            self._recent.popleft()
        line = live_line(self._title, tick, self._rate())
        if self._tty:
            self._out.write(CLEAR_LINE + line[: self._columns - 1])
            self._out.flush()
            self._live = True
        elif tick.at_s - self._told_s >= QUIET_S:
            self._told_s = tick.at_s
            self.say(f"  {line}")

    def say(self, text: str) -> None:
        """A line that stays."""
        self._out.write((CLEAR_LINE if self._live else "") + text + "\n")
        self._out.flush()
        self._live = False

    def ended(self, judged: Judged) -> None:
        """The verdict, with the reasons for it when it is not good."""
        verdict = judged.verdict
        self.say(f"  {self._coloured(verdict)}  {figures_line(verdict)}")
        for text in reasons(judged):
            self.say(f"    {text}")

    def _rate(self) -> float:
        (first_s, first), (last_s, last) = self._recent[0], self._recent[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0

    # -- all of them

    def table(self, verdicts: Sequence[Verdict]) -> None:
        rows = table(verdicts)
        self.say("")
        for index, row in enumerate(rows):
            verdict = verdicts[index - 1] if index else None
            self.say(self._paint(row, _grade(verdict) if verdict else "dim"))

    def _coloured(self, verdict: Verdict) -> str:
        return self._paint(words(verdict), _grade(verdict))

    def _paint(self, text: str, colour: str) -> str:
        return f"{COLOURS[colour]}{text}{PLAIN}" if self._tty else text


def live_line(title: str, tick: Tick, holds_a_second: float) -> str:
    parts = [
        f"{tick.at_s:4.0f} s {tick.phase}",
        *([f"[{', '.join(tick.faults)}]"] if tick.faults else []),
        f"{holds_a_second:.1f} holds/s",
        f"{tick.holds} held",
        f"{tick.errors} errors",
        f"{tick.inside} of {tick.buyers} buyers inside",
        f"backlog {tick.backlog}",
        *(f"{role}: {holder or 'nobody'}" for role, holder in tick.roles.items() if role.endswith(LEADERS)),
    ]
    return f"{title}  {'  '.join(parts)}"


def _grade(verdict: Verdict) -> str:
    if not verdict.safe:
        return "unsafe"
    return "safe" if verdict.met else "missed"
