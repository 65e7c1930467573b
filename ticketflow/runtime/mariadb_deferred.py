"""Statements whose answers nobody waits for: they go ahead of whatever their transaction asks next, in its packet.

Laws:
- They are carried out in their order, and before COMMIT in any case; a rollback forgets them.
- Whoever asks next is told of an error, the server's or that of a check. So is whoever asks after that, until the
  transaction is rolled back: an error that somebody expects of his own statement is not passed over when it is theirs.
"""

from collections.abc import Sequence
from typing import TypeAlias

from ticketflow.runtime.mariadb_answer import Check, Result

Statement: TypeAlias = tuple[str, Check | None]  # as it is sent, and who is told its answer


class Deferred:
    """Those of one connection."""

    def __init__(self) -> None:
        self._statements: list[Statement] = []
        self._fault: Exception | None = None

    def __bool__(self) -> bool:
        """Whether anything is still to be sent, or to be told."""
        return bool(self._statements) or self._fault is not None

    def add(self, statements: Sequence[Statement]) -> None:
        self._statements += statements

    def forget(self) -> None:
        self._statements, self._fault = [], None

    def taken(self) -> list[Statement]:
        """What has to be sent now. Raises what has become of those before it."""
        if self._fault is not None:
            raise self._fault
        taken, self._statements = self._statements, []
        return taken

    def answered(self, sent: Sequence[Statement], results: Sequence[Result], error: Exception | None) -> None:
        """What has become of them, in a packet that ended with ``error``; raises what a check says."""
        if len(results) < len(sent):
            self._fault = error
        try:
            for (_, check), result in zip(sent, results, strict=False):
                if check is not None:
                    check(result)
        except Exception as fault:
            self._fault = fault
            raise
