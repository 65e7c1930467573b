"""Many statements, one after the other: a packet of them is written out while the server carries out the one before."""

import asyncio
from types import TracebackType
from typing import Any, Self

from ticketflow.runtime.mariadb_answer import Check, Result
from ticketflow.runtime.mariadb_text import Params
from ticketflow.runtime.mariadb_together import NOT_YET, Together

PACKET_CHARS = 32 * 1024  # less than that costs a round trip more than the server has to do meanwhile


class Ahead(Together):
    """Takes statements as a connection does, and does not wait for their answers: an error is raised when a later
    packet is sent, or at the end of the block. What makes no packet by then is deferred: it goes with what the
    transaction asks next. Nothing else may use the connection meanwhile."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._under_way: asyncio.Task[None] | None = None

    async def ask(self, statement: str, params: Params = None, check: Check | None = None) -> Result:
        """What is returned here says nothing; ``check`` is told the answer."""
        await super().ask(statement, params, check)
        if self.chars >= PACKET_CHARS:
            await self.send()
        return NOT_YET

    async def send(self) -> None:
        """Sends what was taken, if anything was, and does not wait for the answers."""
        if not self.chars:
            return
        await self._landed()
        self._under_way = asyncio.ensure_future(super().send())
        await asyncio.sleep(0)  # it is sent

    async def answered(self) -> None:
        """Until all that was taken has its answer."""
        await self._landed()
        await super().send()

    async def _landed(self) -> None:
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            await under_way

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self._landed()
            self.defer()
        elif self._under_way is not None:
            if not issubclass(kind, Exception):
                self._under_way.cancel()
            await asyncio.wait((self._under_way,))
            if not self._under_way.cancelled():
                self._under_way.exception()  # the first error is the one that counts
