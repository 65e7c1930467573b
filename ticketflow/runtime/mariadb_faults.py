"""What an error of aiomysql means: retry, unavailable, or the caller's own matter. Tables by error number.

Numbers: MariaDB's error codes below 2000, the client library's 20xx, ProxySQL's 9xxx.
"""

import asyncio
import struct

import pymysql

from ticketflow.runtime.errors import Retryable, Unavailable

RETRYABLE = frozenset({1205, 1213})  # lock wait time-out, deadlock (Galera: certification failed)
LOST = frozenset({1053, 1077, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2003, 2006, 2013, 2014, 2055, 4031})
READ_ONLY = frozenset({1290, 1792, 1836})  # the writer has moved
UNAVAILABLE = (
    LOST
    | READ_ONLY
    | frozenset(
        {
            1021,  # disk full
            1040,  # too many connections
            1041,  # out of resources
            1047,  # WSREP has not yet prepared the node: not executed
            1203,  # the user has too many connections
            1226,  # the user has exceeded a resource limit
            1317,  # query interrupted
            1969,  # max_statement_time exceeded
            9001,  # ProxySQL: no server reached in time
            9006,  # ProxySQL: the session is locked to a hostgroup
        }
    )
)
# Answers to COMMIT that prove that nothing was committed. 1180 (error during COMMIT) is not among them.
COMMIT_FAILED = frozenset({1047, 1205, 1213, 9001})


def code_of(error: BaseException) -> int:
    """The error number, or 0."""
    if isinstance(error, pymysql.MySQLError) and error.args and isinstance(error.args[0], int):
        return error.args[0]
    return 0


def _is_disconnect(error: BaseException) -> bool:
    """A dead socket shows itself in many ways: uvloop raises RuntimeError 'handler is closed' (aiomysql#966), a
    connection closed under a reader AttributeError on None, a cut packet struct.error."""
    if isinstance(error, RuntimeError):
        text = str(error)
        return "closed" in text or "closing" in text
    return isinstance(error, OSError | asyncio.IncompleteReadError | pymysql.InterfaceError | struct.error)


def lost_by(error: BaseException, closed: bool) -> bool:
    """Whether ``error`` says that the connection is gone; ``closed``: the driver knows that it is."""
    if isinstance(error, TimeoutError):
        return False
    return code_of(error) in LOST or _is_disconnect(error) or (closed and isinstance(error, AttributeError))


def fault_of(error: BaseException, closed: bool) -> Unavailable | None:
    """What an error outside COMMIT means; None when it is the caller's own (a constraint, a bug, a Problem)."""
    code = code_of(error)
    if code in RETRYABLE:
        return Retryable(str(error))
    if code in UNAVAILABLE:
        return Unavailable(str(error))
    if isinstance(error, TimeoutError):
        return Unavailable("the store did not answer in time")
    if closed and lost_by(error, closed):
        return Unavailable(f"the connection was lost: {error}")
    return None


def expires_pool(error: BaseException, closed: bool) -> bool:
    """Whether the pool's other connections are suspect too. A connection killed by itself (1927) says nothing."""
    code = code_of(error)
    return code in READ_ONLY or code == 1047 or (code != 1927 and closed and lost_by(error, closed))


CONNECT_FAULTS = (OSError, TimeoutError, RuntimeError, AttributeError, struct.error, pymysql.MySQLError)


def is_answer(error: BaseException) -> bool:
    """Whether an error of connecting is what a server said, rather than silence or a closed door."""
    code = code_of(error)
    return 0 < code < 10_000 and code not in LOST and not 2000 <= code < 2100
