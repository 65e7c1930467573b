"""What an error of asyncpg means: retry, unavailable, or the caller's own matter. A table by SQLSTATE.

Class 08, 57P0x, 25006 (read-only: the primary has moved) say that every connection of the pool is as bad as this one.
"""

import asyncio

import asyncpg

from ticketflow.runtime.errors import Blocked, Retryable, Unavailable

RETRYABLE = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
BLOCKED = frozenset({"55P03", "57014"})  # lock_not_available (lock_timeout), query_canceled (statement_timeout)
UNAVAILABLE = frozenset(
    {
        "25006",  # read_only_sql_transaction
        "25P03",  # idle_in_transaction_session_timeout
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
        "57P05",  # idle_session_timeout
    }
)
UNAVAILABLE_CLASSES = frozenset({"08", "53", "58"})  # connection, resources, system
EXPIRES_POOL = frozenset({"25006", "57P01", "57P02", "57P03"})


def sqlstate(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or "" if isinstance(error, asyncpg.PostgresError) else ""


def fault_of(error: BaseException, connection_lost: bool) -> Unavailable | None:
    """What an error before COMMIT means; None when it is the caller's own (a constraint, a bug, a Problem).

    Nothing is committed before COMMIT, so that no fault here is indefinite.
    """
    state = sqlstate(error)
    if state in RETRYABLE:
        return Retryable(f"{state} {error}")
    if state in BLOCKED:
        return Blocked(f"{state} {error}")
    if state in UNAVAILABLE or state[:2] in UNAVAILABLE_CLASSES:
        return Unavailable(f"{state} {error}")
    if isinstance(error, TimeoutError):
        return Unavailable("the store did not answer in time")
    if isinstance(error, asyncpg.InternalClientError):
        # The server's FATAL has been read and its closing of the socket has not: no statement can be sent any more.
        return Unavailable(f"the connection was lost: {error}")
    if isinstance(error, asyncpg.PostgresConnectionError | asyncpg.InterfaceError | OSError) and connection_lost:
        return Unavailable(f"the connection was lost: {error}")
    return None


def expires_pool(error: BaseException, connection_lost: bool) -> bool:
    """Whether the pool's other connections are suspect too."""
    lost = connection_lost and isinstance(error, asyncpg.PostgresConnectionError | asyncpg.InterfaceError | OSError)
    return sqlstate(error) in EXPIRES_POOL or (lost and not isinstance(error, TimeoutError))


def commit_definitely_failed(error: BaseException) -> bool:
    """Whether an error that answers COMMIT proves that nothing was committed.

    Only an ERROR of the server does: FATAL and PANIC end the session at a point that we cannot know.
    """
    return (
        isinstance(error, asyncpg.PostgresError)
        and not isinstance(error, asyncpg.PostgresConnectionError)
        and getattr(error, "severity_en", None) in (None, "ERROR")
        and not sqlstate(error).startswith(("08", "57P", "58", "XX"))
    )


CONNECT_FAULTS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # among them: the server takes no writes
    asyncio.IncompleteReadError,
)


def is_answer(error: BaseException) -> bool:
    """Whether an error of connecting is what a server said, rather than silence or a closed door."""
    if isinstance(error, asyncpg.PostgresError):
        return not isinstance(error, asyncpg.PostgresConnectionError)
    return isinstance(error, asyncpg.TargetServerAttributeNotMatched)
