"""Opening and cutting one asyncpg connection: all hosts, every time-out set, dead peers noticed by the kernel.

The hosts are tried here (see dial.py) and not by asyncpg, whose connect time-out spans all of them: one frozen host
would use it up.
"""

import asyncio
import socket
from collections.abc import Hashable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias
from urllib.parse import unquote, urlsplit

import asyncpg

from ticketflow.runtime.dial import Patience, first_to_answer
from ticketflow.runtime.keepalive import watch_peer
from ticketflow.runtime.postgres_faults import CONNECT_FAULTS, is_answer
from ticketflow.runtime.slot import Place

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

# A session that says nothing inside a transaction (its process is frozen, or the proxy before it) keeps its locks from
# everybody else. Between two of our statements lie milliseconds; a process that is starved for longer begins anew.
IDLE_IN_TRANSACTION_S = 2
GOODBYE_TIMEOUT_S = 0.5
ANSWER_MARGIN_S = 1.0  # the server's own time-out should come first: its answer is definite
DEAD_CLIENT_S = 8  # after so long without a sign of us the server ends our session, and frees its locks


class Session(Connection):
    """A connection with what we note of it."""

    place: Place
    warnings: list[str]  # the WARNINGs of its server since the list was last cleared


class Host(NamedTuple):
    name: str
    port: int

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


def hosts_of(dsn: str) -> tuple[Host, ...]:
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
        hosts.append(Host(unquote(host.strip("[]")), int(port)))
    return tuple(hosts)


class PostgresDriver:
    """``pool.Driver`` for asyncpg. Only a server that takes writes is accepted, unless ``any_server`` will do."""

    def __init__(
        self, dsn: str, *, name: str, connect_timeout_s: float, statement_timeout_s: float, any_server: bool = False
    ) -> None:
        self._dsn = dsn
        attributes = asyncpg.connect_utils.SessionAttribute
        self._wanted = attributes.any if any_server else attributes.read_write
        self._hosts = list(hosts_of(dsn))
        self._patience = Patience(connect_timeout_s)
        self._answer_timeout_s = statement_timeout_s + ANSWER_MARGIN_S
        statement_ms = str(int(statement_timeout_s * 1000))
        self._settings = {
            "application_name": name,
            "statement_timeout": statement_ms,
            "lock_timeout": statement_ms,
            "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_S * 1000),
            "client_connection_check_interval": "1000",
            "tcp_keepalives_idle": "5",
            "tcp_keepalives_interval": "2",
            "tcp_keepalives_count": "3",
            "tcp_user_timeout": str(DEAD_CLIENT_S * 1000),
            "timezone": "UTC",
        }

    async def connect(self) -> Connection:
        """A connection to a host that takes writes, beginning with the last good one. Raises Unavailable."""
        host, connection = await first_to_answer(
            self._hosts, self.connect_to, self._patience, faults=CONNECT_FAULTS, discard=self.discard
        )
        self._hosts.sort(key=lambda other: other != host)
        return connection

    @property
    def addresses(self) -> list[Host]:
        return list(self._hosts)

    async def connect_to(self, host: Host) -> Connection:
        timeout_s = self._patience.timeout_s
        async with asyncio.timeout(timeout_s):
            connection: Connection = await asyncpg.connect(
                self._dsn,
                host=host.name,
                port=host.port,
                timeout=timeout_s,
                command_timeout=self._answer_timeout_s,
                server_settings=self._settings,
                connection_class=Session,
                target_session_attrs=self._wanted,
            )
            assert isinstance(connection, Session)
            try:
                node = await connection.fetchval("SELECT host(inet_server_addr()) || ':' || inet_server_port()")
            except BaseException:
                self.discard(connection)
                raise
        connection.place = Place(host, str(node))
        _note_warnings(connection)
        _notice_its_death(connection)
        return connection

    def place(self, connection: Connection) -> Place:
        assert isinstance(connection, Session)
        return connection.place

    def warnings(self, connection: Connection) -> list[str]:
        """The WARNINGs of this connection's server since the list was last cleared."""
        assert isinstance(connection, Session)
        return connection.warnings

    async def node_at(self, address: Hashable) -> str | None:
        assert isinstance(address, Host)
        try:
            connection = await self.connect_to(address)
        except CONNECT_FAULTS as error:
            return "" if is_answer(error) else None
        node = self.place(connection).node
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=GOODBYE_TIMEOUT_S)  # the server's log calls what is cut an error
        self.discard(connection)
        return node

    def avoid(self, address: Hashable) -> None:
        self._hosts.sort(key=lambda host: host == address)

    def usable(self, connection: Connection) -> bool:
        return not connection.is_closed() and not connection.is_in_transaction()

    def discard(self, connection: Connection) -> None:
        with suppress(Exception):  # a connection that is broken already may object to anything
            connection.terminate()


def _notice_its_death(connection: Session) -> None:
    transport = getattr(connection, "_transport", None)  # asyncpg shows it nowhere else
    sock: socket.socket | None = transport.get_extra_info("socket") if transport is not None else None
    if sock is not None:
        watch_peer(sock)


def _note_warnings(connection: Session) -> None:
    warnings = connection.warnings = []

    def note(_connection: Any, message: Any) -> None:
        if message.severity_en == "WARNING":
            warnings.append(f"{message.sqlstate} {message.message}")

    connection.add_log_listener(note)
