"""How far a node's data goes: a history (Galera's cluster uuid) and the number of the last write set in it.

Laws: nothing here touches a file or a process. A node that cannot say how far its data goes has no position: another
one gives it the whole data.
"""

import re
from dataclasses import dataclass

NO_HISTORY = "00000000-0000-0000-0000-000000000000"
_RECOVERED = re.compile(r"WSREP: Recovered position: ([0-9a-f-]{36}):(-?\d+)")
_FIELD = re.compile(r"^(uuid|seqno|safe_to_bootstrap):\s*(\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Position:
    history: str
    seqno: int

    def __str__(self) -> str:
        return f"{self.history}:{self.seqno}"


@dataclass(frozen=True)
class SavedState:
    """grastate.dat: what Galera itself left. ``seqno`` is -1 while the server runs, hence after a crash.

    ``history`` is NO_HISTORY while a state transfer is under way, and once Galera found the data inconsistent.
    """

    history: str
    seqno: int

    def clean(self) -> bool:
        return self.history != NO_HISTORY and self.seqno >= 0

    def void(self) -> bool:
        return self.history == NO_HISTORY


def parse_saved_state(text: str) -> SavedState:
    """A torn or empty file is void."""
    fields = dict(_FIELD.findall(text))
    try:
        return SavedState(fields["uuid"], int(fields["seqno"]))
    except (KeyError, ValueError):
        return SavedState(NO_HISTORY, -1)


def format_saved_state(position: Position | None, *, may_begin: bool = False) -> str:
    history, seqno = (position.history, position.seqno) if position else (NO_HISTORY, -1)
    return f"# GALERA saved state\nversion: 2.1\nuuid: {history}\nseqno: {seqno}\nsafe_to_bootstrap: {int(may_begin)}\n"


def parse_recovered(log: str) -> Position | None:
    """What ``mariadbd --wsrep-recover`` found in InnoDB; None when no write set was ever committed to it."""
    found = _RECOVERED.findall(log)
    if not found:
        errors = [line for line in log.splitlines() if "[ERROR]" in line]
        raise ValueError(f"the server said nothing about its position; {errors[:3]}")
    history, seqno = found[-1]
    return None if history == NO_HISTORY or int(seqno) < 0 else Position(history, int(seqno))


def after_crash(saved: SavedState, recovered: Position | None) -> Position | None:
    """The position of data whose server was killed: InnoDB's own, as long as both speak of the same history."""
    return recovered if recovered and recovered.history == saved.history else None
