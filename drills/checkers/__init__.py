"""Checkers: pure functions from a history to a finding.

Laws of this folder:
- ``check(history) -> Finding``. No clock, store or cluster, and no state: the same history gives the same finding.
- A time-out is indefinite, never a failure: what may or may not have been done is allowed to be either.
- When in doubt a checker is silent; what it does say is a contradiction that no schedule of a correct system explains.
"""

from collections.abc import Callable

from drills.checkers import acknowledged, agreement, bank, idempotence, one_owner, replicas, stream, total_queue
from drills.checkers.finding import Finding
from drills.history import History

__all__ = ["CHECKERS", "Finding", "check_all"]

CHECKERS: dict[str, Callable[[History], Finding]] = {
    checker.NAME: checker.check
    for checker in (acknowledged, total_queue, bank, one_owner, idempotence, stream, agreement, replicas)
}


def check_all(history: History) -> tuple[Finding, ...]:
    """In the order of the table."""
    return tuple(check(history) for check in CHECKERS.values())
