"""Statements that do not wait for each other's answers, sent in one packet: a round trip costs more than most of them.

They are carried out in their order, in the transaction that is open. The server stops at the first that fails, whose
error is raised: what came before it is done, and the caller's transaction is to be rolled back, as after any error.
"""

from collections.abc import Sequence
from typing import Any

from ticketflow.runtime.mariadb_answer import Check, Result
from ticketflow.runtime.mariadb_deferred import Statement
from ticketflow.runtime.mariadb_rows import STATEMENT_BYTES_MAX
from ticketflow.runtime.mariadb_text import Params, filled

NOT_YET = Result(0, 0)


class Together:
    """Takes statements as a connection does, but for their answers; ``send`` sends what was taken, ``defer`` leaves it
    to be sent with what the transaction asks next."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.escape = connection.escape
        self._statements: list[Statement] = []
        self.chars = 0  # of what was taken

    async def ask(self, statement: str, params: Params = None, check: Check | None = None) -> Result:
        """Its answer comes with ``send``, to ``check``, which may raise. What is returned here says nothing."""
        if params is not None:
            statement = filled(statement, params, self.escape)
        if self.chars + len(statement) > STATEMENT_BYTES_MAX:
            await self.send()
        self._statements.append((statement, check))
        self.chars += len(statement)
        return NOT_YET

    async def send(self) -> None:
        taken = self._taken()
        if taken:
            results: Sequence[Result] = await self._connection.ask_all([statement for statement, _ in taken])
            for result, (_, check) in zip(results, taken, strict=True):
                if check is not None:
                    check(result)

    def defer(self) -> None:
        """Its answer, or its error, comes with that of the next statement: see ``Deferred``."""
        taken = self._taken()
        if taken:
            self._connection.defer(taken)

    def _taken(self) -> list[Statement]:
        taken, self._statements, self.chars = self._statements, [], 0
        return taken
