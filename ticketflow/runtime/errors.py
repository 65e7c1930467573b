"""The error tree of the package.

    RuntimeFault
    ├── Unavailable      it definitely did not happen; try later            -> 503 store_unavailable
    │   ├── Retryable    the same, and at once may do (deadlock, serialization)
    │   └── Blocked      the same: it waited for another's lock, or took, for too long
    ├── Indefinite       it may have happened; repeat identically           -> 503 outcome_unknown
    ├── NotCommitted     COMMIT of a transaction that a failed statement had already ended: a bug of the caller
    ├── SettingsError    the environment does not make sense
    └── MigrationError   the schema could not be brought up to date

An error outside this tree that leaves a transaction is the caller's own: a constraint, a bug, a Problem.
"""

from collections.abc import Sequence


class RuntimeFault(Exception):
    """Any fault that this package raises of its own."""


class Unavailable(RuntimeFault):
    """The store cannot do it now, and has definitely not done it."""


class Retryable(Unavailable):
    """The store chose this transaction as the victim; run it again as a whole."""


class Blocked(Unavailable):
    """The store is well, and this very transaction waited for a lock, or worked, for longer than it may."""


class Indefinite(RuntimeFault):
    """The store was asked to commit and did not answer: repeat with the same keys, or look it up."""


class NotCommitted(RuntimeFault):
    """The transaction had failed before its COMMIT, and the caller had swallowed the error. Nothing was stored."""


class SettingsError(RuntimeFault):
    """Settings are missing or wrong; ``problems`` has one clear line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class MigrationError(RuntimeFault):
    """The schema could not be brought up to date; the message names the step."""
