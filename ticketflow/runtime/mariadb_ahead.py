"""Large statements, one after the other, each written out while the server carries out the one before it."""

import asyncio
from types import TracebackType
from typing import Any, Self

from ticketflow.runtime.mariadb_answer import Check, Result
from ticketflow.runtime.mariadb_text import Params
from ticketflow.runtime.mariadb_together import NOT_YET


class Ahead:
    """Takes statements as a connection does, and does not wait for their answers: an error is raised when the next
    statement is asked, or at the end of the block. Nothing else may use the connection meanwhile."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.escape = connection.escape
        self._under_way: asyncio.Task[Result] | None = None

    async def ask(self, statement: str, params: Params = None, check: Check | None = None) -> Result:
        """What is returned here says nothing; ``check`` is told the answer."""
        await self.answered()
        self._under_way = asyncio.ensure_future(self._connection.ask(statement, params, check))
        await asyncio.sleep(0)  # it is sent
        return NOT_YET

    async def answered(self) -> None:
        """Until the last statement has its answer."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            await under_way

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.answered()
        elif self._under_way is not None:
            if not issubclass(kind, Exception):
                self._under_way.cancel()
            await asyncio.wait((self._under_way,))
            if not self._under_way.cancelled():
                self._under_way.exception()  # the first error is the one that counts
