"""Opening and cutting one asyncpg connection: all hosts in turn, every time-out set, dead peers noticed by the kernel.

The hosts are tried here and not by asyncpg, whose connect time-out spans all of them: one frozen host would use it up.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

import asyncpg

from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.keepalive import watch_peer
from ticketflow.runtime.postgres_faults import CONNECT_FAULTS

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

ANSWER_MARGIN_S = 1.0  # the server's own time-out should come first: its answer is definite
DEAD_CLIENT_S = 8  # after so long without a sign of us the server ends our session, and frees its locks


def hosts_of(dsn: str) -> tuple[tuple[str, int], ...]:
    """The hosts of a DSN ``postgresql://user:pass@host:port[,host:port]/db``. Raises ValueError."""
    parts = urlsplit(dsn)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("the DSN must begin with postgresql://")
    hosts = []
    for text in parts.netloc.rpartition("@")[2].split(","):
        host, colon, port = text.rpartition(":")
        if not colon or host.startswith("[") != host.endswith("]"):
            host, port = text, "5432"
        if not host or not port.isdigit():
            raise ValueError("the DSN must name host:port[,host:port]")
        hosts.append((unquote(host.strip("[]")), int(port)))
    return tuple(hosts)


class PostgresDriver:
    """``pool.Driver`` for asyncpg. Only a server that takes writes is accepted."""

    def __init__(self, dsn: str, *, name: str, connect_timeout_s: float, statement_timeout_s: float) -> None:
        self._dsn = dsn
        self._hosts: Sequence[tuple[str, int]] = hosts_of(dsn)
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = statement_timeout_s + ANSWER_MARGIN_S
        statement_ms = str(int(statement_timeout_s * 1000))
        self._settings = {
            "application_name": name,
            "statement_timeout": statement_ms,
            "lock_timeout": statement_ms,
            "idle_in_transaction_session_timeout": str(int(statement_timeout_s * 2000)),
            "client_connection_check_interval": "1000",
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "2",
            "tcp_keepalives_count": "3",
            "tcp_user_timeout": str(DEAD_CLIENT_S * 1000),
            "timezone": "UTC",
        }
        self._warnings: dict[int, list[str]] = {}

    async def connect(self) -> Connection:
        """A connection to the first host that takes writes, beginning with the last good one. Raises Unavailable."""
        failures = []
        for host in list(self._hosts):
            try:
                connection = await self.connect_to(*host)
            except CONNECT_FAULTS as error:
                failures.append(f"{host[0]}:{host[1]}: {str(error) or 'no answer in time'}")
                continue
            self._hosts = [host, *(other for other in self._hosts if other != host)]
            return connection
        raise Unavailable("; ".join(failures))

    async def connect_to(self, host: str, port: int) -> Connection:
        async with asyncio.timeout(self._connect_timeout_s):
            connection: Connection = await asyncpg.connect(
                self._dsn,
                host=host,
                port=port,
                timeout=self._connect_timeout_s,
                command_timeout=self._answer_timeout_s,
                server_settings=self._settings,
                target_session_attrs=asyncpg.connect_utils.SessionAttribute.read_write,
            )
        self._watch(connection)
        return connection

    def _watch(self, connection: Connection) -> None:
        transport = getattr(connection, "_transport", None)  # asyncpg shows it nowhere else
        sock: socket.socket | None = transport.get_extra_info("socket") if transport is not None else None
        if sock is not None:
            watch_peer(sock)
        warnings: list[str] = []
        key = id(connection)
        self._warnings[key] = warnings

        def note(_connection: Any, message: Any) -> None:
            if message.severity_en == "WARNING":
                warnings.append(f"{message.sqlstate} {message.message}")

        def forget(_connection: Any) -> None:
            self._warnings.pop(key, None)

        connection.add_log_listener(note)
        connection.add_termination_listener(forget)

    def warnings(self, connection: Connection) -> list[str]:
        """The WARNINGs of this connection's server since the list was last cleared."""
        return self._warnings.get(id(connection), [])

    def usable(self, connection: Connection) -> bool:
        return not connection.is_closed() and not connection.is_in_transaction()

    def discard(self, connection: Connection) -> None:
        with suppress(Exception):  # a connection that is broken already may object to anything
            connection.terminate()
