"""Delivery's statements in MariaDB. postgres.py stands beside it.

Built for a Galera cluster with more than one writer: a lock that is only read is not seen by the other nodes, so every
right that a transaction relies on is a guarded UPDATE that changes its row. Two nodes that do so at once collide at
COMMIT (1213), and the one that loses runs again (reliability: Galera).
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext

import pymysql.err

from ticketflow.delivery.dialect import Backlog, Pool
from ticketflow.delivery.mariadb_driver import Connection, fetch
from ticketflow.delivery.mariadb_history import MariaDBHistory
from ticketflow.delivery.mariadb_inbox import MariaDBInbox
from ticketflow.delivery.mariadb_lanes import MariaDBLanes
from ticketflow.delivery.mariadb_outbox import MariaDBOutbox
from ticketflow.delivery.mariadb_parking import MariaDBParking
from ticketflow.runtime.bell import Bell, Ringer

NO_SUCH_TABLE = 1146


class MariaDBDialect(MariaDBOutbox, MariaDBLanes, MariaDBInbox, MariaDBParking, MariaDBHistory):
    """aiomysql connections with tuple cursors, in a transaction at READ COMMITTED.

    MariaDB cannot tell one process what another has committed. ``ringer`` can, to those who listen by their ``bell``;
    without them relays poll.
    """

    name = "mariadb"

    def __init__(self, *, ringer: Ringer | None = None, bell: Bell | None = None) -> None:
        self.announces = bool(ringer)
        self._ringer = ringer
        self._bell = bell

    async def announce(self, conn: Connection, stream: str) -> None:
        if self._ringer is not None:
            self._ringer.set()

    async def backlog(self, conn: Connection, stream: str) -> Backlog:
        state = await fetch(conn, "SELECT last_seq, acked_seq FROM delivery_stream WHERE stream = %s", (stream,))
        last_seq, acked_seq = state[0] if state else (0, 0)
        # The seqs stand in the statement: a range from one that is read there would begin at the first row kept.
        unstamped, age_s = (
            await fetch(
                conn,
                """
                SELECT (SELECT COUNT(*) FROM delivery_outbox WHERE stream = %s AND seq IS NULL),
                       TIMESTAMPDIFF(MICROSECOND, LEAST(
                           COALESCE((SELECT created_at FROM delivery_outbox FORCE INDEX (delivery_outbox_seq)
                                     WHERE stream = %s AND seq > %s AND seq <= %s ORDER BY seq LIMIT 1),
                                    UTC_TIMESTAMP(6)),
                           COALESCE((SELECT created_at FROM delivery_outbox FORCE INDEX (delivery_outbox_waiting)
                                     WHERE stream = %s AND seq IS NULL ORDER BY position LIMIT 1),
                                    UTC_TIMESTAMP(6))
                       ), UTC_TIMESTAMP(6)) / 1000000
                """,
                (stream, stream, acked_seq, last_seq, stream),
            )
        )[0]
        return Backlog(last_seq - acked_seq + int(unstamped), float(age_s), last_seq, acked_seq)

    @asynccontextmanager
    async def listening(self, pool: Pool[Connection], stream: str, wake: Callable[[], None]) -> AsyncIterator[None]:
        with self._bell.heard(stream, wake) if self._bell is not None else nullcontext():
            yield

    def is_store_fault(self, error: Exception) -> bool:
        if isinstance(error, pymysql.err.ProgrammingError) and error.args[:1] == (NO_SUCH_TABLE,):
            return True  # it is not migrated yet, or is just being restored
        if isinstance(error, pymysql.err.IntegrityError | pymysql.err.DataError | pymysql.err.ProgrammingError):
            return False
        return isinstance(error, pymysql.err.Error | OSError) or (
            isinstance(error, RuntimeError) and "handler is closed" in str(error)  # uvloop's word for a dead socket
        )
