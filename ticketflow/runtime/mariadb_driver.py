"""Opening and cutting one aiomysql connection: all addresses (see dial.py), and a deadline for every answer."""

import asyncio
import warnings
from collections.abc import Hashable, Sequence
from contextlib import suppress
from typing import Any

import aiomysql
import pymysql
from pymysql.constants import COMMAND, CR, SERVER_STATUS

from ticketflow.runtime.address import Address
from ticketflow.runtime.dial import Patience, first_to_answer
from ticketflow.runtime.keepalive import watch_peer
from ticketflow.runtime.mariadb_answer import Answer, Check, OutOfStep, Result
from ticketflow.runtime.mariadb_deferred import Deferred, Statement
from ticketflow.runtime.mariadb_faults import CONNECT_FAULTS, is_answer
from ticketflow.runtime.mariadb_text import Params, filled
from ticketflow.runtime.slot import Place

# A session that says nothing inside a transaction (its process is frozen, or the proxy before it) keeps its locks from
# everybody else. Between two of our statements lie milliseconds; a process that is starved for longer begins anew.
IDLE_TRANSACTION_S = 2
GOODBYE_TIMEOUT_S = 0.5
ANSWER_MARGIN_S = 1.0  # the server's own time-out should come first: its answer is definite

# STRICT: a value that does not fit is an error, not a truncated value. NO_ENGINE_SUBSTITUTION: InnoDB or nothing.
SQL_MODE = "'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"


class TimedConnection(aiomysql.Connection):  # type: ignore[misc]
    """aiomysql has no time-out for an answer: here every query has one, whoever sends it. ``ask`` is the quick way:
    without a cursor, and with an answer that is read in one go (see mariadb_answer.py)."""

    answer_timeout_s: float
    place: Place
    heard_at = float("-inf")  # the last answer, by the loop's clock
    begins_with_next = False  # see begin_with_next

    def __init__(self, **account: Any) -> None:
        super().__init__(**account)
        self._deferred = Deferred()

    async def query(self, sql: Any, unbuffered: bool = False) -> Any:
        await self.settle()
        async with asyncio.timeout(self.answer_timeout_s):
            if self.begins_with_next:
                self.begins_with_next = False
                await self._asked(b"BEGIN", Answer())
            return await super().query(sql, unbuffered)

    async def ask(self, statement: str, params: Params = None, check: Check | None = None) -> Result:
        """One statement, with ``%s`` or ``%(name)s`` for its parameters. Raises what aiomysql raises, and what
        ``check`` raises about the answer: see ``Together``."""
        if params is not None:
            statement = filled(statement, params, self.escape)
        result = (await self.ask_all([statement]))[-1]
        if check is not None:
            check(result)
        return result

    async def ask_all(self, statements: Sequence[str]) -> list[Result]:
        """Several in one packet, in their order, behind those that are deferred; the server stops at the first that
        fails, whose error is raised."""
        deferred = self._deferred.taken()
        begins, self.begins_with_next = self.begins_with_next, False
        ahead = ["BEGIN"] * begins + [statement for statement, _ in deferred]
        answer = Answer()
        try:
            async with asyncio.timeout(self.answer_timeout_s):
                await self._asked(";".join([*ahead, *statements]).encode("utf-8", "surrogateescape"), answer)
                if answer.warnings:
                    told = Answer()
                    await self._asked(b"SHOW WARNINGS", told)
                    for *_, message in told.results[-1].rows:
                        warnings.warn(str(message), Warning, stacklevel=3)
        except Exception as error:
            self._deferred.answered(deferred, answer.results[begins:], error)
            raise
        self._deferred.answered(deferred, answer.results[begins:], None)
        return answer.results[len(ahead) :]

    async def begin(self) -> None:
        await self._asked(b"BEGIN", Answer())

    def begin_with_next(self) -> None:
        """A transaction begins with the next statement, in the same packet; none that asks nothing."""
        self.begins_with_next = True

    def defer(self, statements: Sequence[Statement]) -> None:
        """Has them carried out in the transaction that is open, before whatever is asked next: see Deferred."""
        if not self.begins_with_next and not self.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS:
            raise RuntimeError("what is deferred belongs to a transaction, and there is none")
        self._deferred.add(statements)

    @property
    def defers(self) -> bool:
        """Whether the transaction is not what its user takes it for until ``settle``."""
        return bool(self._deferred)

    async def settle(self) -> None:
        """Has what is deferred carried out now."""
        if self._deferred:
            await self.ask_all([])

    async def commit(self) -> None:
        await self.settle()
        if self.begins_with_next:
            self.begins_with_next = False
            return
        await self._asked(b"COMMIT", Answer())

    async def rollback(self) -> None:
        self._deferred.forget()
        if self.begins_with_next:
            self.begins_with_next = False
            return
        await self._asked(b"ROLLBACK", Answer())

    async def _asked(self, statement: bytes, answer: Answer) -> None:
        await self._execute_command(COMMAND.COM_QUERY, statement)
        reader = self._reader
        try:
            while not answer.take(reader._buffer):
                if (fault := reader.exception()) is not None:
                    raise fault
                if reader.eof_received:
                    raise ConnectionResetError("the server has closed it")
                await reader._wait_for_data("ask")
        except asyncio.CancelledError:
            self._close_on_cancel()
            raise
        except (OSError, OutOfStep) as error:
            self.close()
            lost = f"Lost connection to MySQL server during query ({error})"
            raise pymysql.OperationalError(CR.CR_SERVER_LOST, lost) from error
        finally:
            if answer.server_status is not None:
                self.server_status = answer.server_status
        reader._maybe_resume_transport()
        self.heard_at = self._loop.time()


class MariaDBDriver:
    """``pool.Driver`` for aiomysql."""

    def __init__(
        self,
        addresses: Sequence[Address],
        database: str,
        user: str,
        password: str,
        *,
        name: str,
        connect_timeout_s: float,
        statement_timeout_s: float,
    ) -> None:
        if not addresses:
            raise ValueError("no address of a database is given")
        self._addresses = list(addresses)
        self._account = {"db": database, "user": user, "password": password, "program_name": name}
        self._patience = Patience(connect_timeout_s)
        self._answer_timeout_s = statement_timeout_s + ANSWER_MARGIN_S
        lock_wait_s = max(1, int(statement_timeout_s) - 1)
        self._init = (
            f"SET NAMES utf8mb4, time_zone = '+00:00', sql_mode = {SQL_MODE}, "
            "SESSION tx_isolation = 'READ-COMMITTED', "
            f"max_statement_time = {statement_timeout_s}, innodb_lock_wait_timeout = {lock_wait_s}, "
            f"idle_transaction_timeout = {IDLE_TRANSACTION_S}"
        )

    async def connect(self) -> TimedConnection:
        """A connection to an address that answers, beginning with the last good one. Raises Unavailable."""
        address, connection = await first_to_answer(
            self._addresses, self.connect_to, self._patience, faults=CONNECT_FAULTS, discard=self.discard
        )
        self._addresses.sort(key=lambda other: other != address)
        return connection

    @property
    def addresses(self) -> list[Address]:
        return list(self._addresses)

    async def connect_to(self, address: Address) -> TimedConnection:
        timeout_s = self._patience.timeout_s
        connection = TimedConnection(
            host=address.host,
            port=address.port,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=timeout_s,
            **self._account,
        )
        connection.answer_timeout_s = timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await connection._connect()
                await connection.query(self._init)
                connection.place = Place(address, await _node(connection))
        except BaseException:
            self.discard(connection)
            raise
        connection.answer_timeout_s = self._answer_timeout_s
        watch_peer(connection._writer.transport.get_extra_info("socket"))
        return connection

    def place(self, connection: TimedConnection) -> Place:
        return connection.place

    async def node_at(self, address: Hashable) -> str | None:
        assert isinstance(address, Address)
        try:
            connection = await self.connect_to(address)
        except CONNECT_FAULTS as error:
            return "" if is_answer(error) else None
        with suppress(Exception):
            async with asyncio.timeout(GOODBYE_TIMEOUT_S):  # the server counts what is cut as an error
                await connection.ensure_closed()
        self.discard(connection)
        return connection.place.node

    def avoid(self, address: Hashable) -> None:
        self._addresses.sort(key=lambda other: other == address)

    def lost(self, connection: TimedConnection) -> bool:
        """Whether the connection has ended, as far as this side has heard."""
        if connection.closed or connection._writer.transport.is_closing():
            return True
        reader = connection._reader
        return bool(reader.eof_received or reader.at_eof() or reader.exception() is not None)

    def usable(self, connection: TimedConnection) -> bool:
        """Open, in step with the server (nothing unread, nothing still to be sent), and not in a transaction."""
        if self.lost(connection) or connection._reader._buffer or connection.defers:
            return False
        return not connection.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS

    def discard(self, connection: TimedConnection) -> None:
        with suppress(Exception):  # a connection that is broken already may object to anything
            if connection._writer is not None:
                connection._writer.transport.abort()
        with suppress(Exception):
            connection.close()


async def _node(connection: TimedConnection) -> str:
    """Which server answers: a proxy stands before several. Asked of the one that takes the writes, as all is here."""
    return str((await connection.ask("SELECT CONCAT(@@hostname, ':', @@port)")).rows[0][0])
