"""What is asked of MariaDB, packet by packet."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from ticketflow.runtime.mariadb_driver import TimedConnection


@contextmanager
def packets() -> Iterator[list[str]]:
    """The text of each, of whatever connection, as it is sent."""
    sent: list[str] = []
    real: Any = TimedConnection._asked

    async def asked(connection: TimedConnection, statement: bytes, answer: Any) -> None:
        sent.append(statement.decode(errors="replace"))
        await real(connection, statement, answer)

    with patch.object(TimedConnection, "_asked", asked):
        yield sent
