"""The sending end in MariaDB (aiomysql): outbox, stream, lease. See postgres_outbox.py, method for method."""

from collections.abc import Sequence
from typing import Any

from ticketflow.delivery.dialect import OutboxRow, StagedRow, StreamState
from ticketflow.delivery.mariadb_driver import Connection, ask_together, fetch, insert, write

_NOW_US = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
_STATE = "SELECT epoch, last_seq, acked_seq, lanes, barrier_seq, barrier_due FROM delivery_stream"
# The range is said, and its order: the least of an index with NULLs in it is otherwise looked for in all of it.
FIRST_KEPT = (
    "SELECT seq FROM delivery_outbox FORCE INDEX (delivery_outbox_seq)"
    " WHERE stream = %s AND seq > 0 ORDER BY seq LIMIT 1"
)
_WAITING = "SELECT position, body FROM delivery_outbox WHERE stream = %s AND seq IS NULL ORDER BY position LIMIT %s"
_ADVANCE = "UPDATE delivery_stream SET last_seq = %s WHERE stream = %s AND last_seq = %s"
_HOLD = "UPDATE delivery_lease SET uses = uses + 1 WHERE name = %s AND token = %s AND expires_at > UTC_TIMESTAMP(6)"
_IN_TTL = "UTC_TIMESTAMP(6) + INTERVAL %s SECOND"


async def stamped(
    conn: Connection, stream: str, after_seq: int, waiting: Sequence[tuple[Any, ...]]
) -> list[OutboxRow] | None:
    """Rows (position, body) get ``after_seq + 1, ...`` and the name of their lane, and last_seq follows, in one packet.
    None when it is not ``after_seq``."""
    positions = [row[0] for row in waiting]
    place_holders = ", ".join(["%s"] * len(positions))
    stamp = (
        f"UPDATE delivery_outbox SET seq = %s + INTERVAL(position, {place_holders}), stream = %s"  # noqa: S608
        " WHERE position IN %s AND seq IS NULL"
    )
    _, moved = await ask_together(
        conn,
        (stamp, (after_seq, *positions, stream, positions)),
        (_ADVANCE, (after_seq + len(waiting), stream, after_seq)),
    )
    return [OutboxRow(seq, row[1]) for seq, row in enumerate(waiting, after_seq + 1)] if moved.affected else None


class MariaDBOutbox:
    # -- outbox

    async def stage(self, conn: Connection, stream: str, rows: Sequence[StagedRow]) -> None:
        await insert(
            conn,
            "INSERT INTO delivery_outbox (stream, event_id, event_key, kind, body)",
            [(stream, *row) for row in rows],
        )

    async def has_unstamped(self, conn: Connection, stream: str) -> bool:
        return bool(
            await fetch(conn, "SELECT 1 FROM delivery_outbox WHERE stream = %s AND seq IS NULL LIMIT 1", (stream,))
        )

    async def stamp(self, conn: Connection, stream: str, after_seq: int, rows_max: int) -> list[OutboxRow] | None:
        # The positions come from a plain read: an UPDATE that looked for NULLs would wait for every open staging
        # transaction. Only a stamper changes unstamped rows, and the stream's lock lets one of them in. INTERVAL finds
        # the number of a position by halving, where FIELD would compare each with all.
        waiting = await fetch(conn, _WAITING, (stream, rows_max))
        return await stamped(conn, stream, after_seq, waiting) if waiting else []

    async def stamp_at_once(
        self, conn: Connection, lease: str, token: int, stream: str, seen: StreamState, rows_max: int
    ) -> list[OutboxRow] | None:
        held, state, waiting = await ask_together(
            conn,
            (_HOLD, (lease, token)),
            (f"{_STATE} WHERE stream = %s FOR UPDATE", (stream,)),
            (_WAITING, (stream, rows_max)),
        )
        if not held.affected or not state.rows:
            return None
        now = StreamState(*state.rows[0])
        if (now.epoch, now.last_seq, now.lanes, now.barrier_due) != (seen.epoch, seen.last_seq, 1, ""):
            return None
        return await stamped(conn, stream, seen.last_seq, waiting.rows) if waiting.rows else []

    async def read(self, conn: Connection, stream: str, after_seq: int, upto_seq: int) -> list[OutboxRow]:
        rows = await fetch(
            conn,
            "SELECT seq, body FROM delivery_outbox FORCE INDEX (delivery_outbox_seq)"
            " WHERE stream = %s AND seq > %s AND seq <= %s ORDER BY seq",
            (stream, after_seq, upto_seq),
        )
        return [OutboxRow(row[0], row[1]) for row in rows]

    async def oldest_rows(self, conn: Connection, stream: str, age_s: float, rows_max: int) -> list[tuple[int, bool]]:
        first = await fetch(conn, FIRST_KEPT, (stream,))
        if not first:
            return []
        rows = await fetch(
            conn,
            "SELECT seq, created_at < UTC_TIMESTAMP(6) - INTERVAL %s SECOND"
            " FROM delivery_outbox FORCE INDEX (delivery_outbox_seq)"
            " WHERE stream = %s AND seq >= %s AND seq < %s ORDER BY seq",
            (age_s, stream, first[0][0], first[0][0] + rows_max),
        )
        return [(row[0], bool(row[1])) for row in rows]

    async def purge_outbox(self, conn: Connection, stream: str, upto_seq: int) -> int:
        first = await fetch(conn, FIRST_KEPT, (stream,))
        if not first:
            return 0
        return await write(
            conn,
            "DELETE FROM delivery_outbox WHERE stream = %s AND seq >= %s AND seq <= %s",
            (stream, first[0][0], upto_seq),
        )

    # -- stream, sending end

    async def ensure_stream(self, conn: Connection, stream: str) -> None:
        await write(
            conn,
            f"INSERT INTO delivery_stream (stream, epoch) VALUES (%s, {_NOW_US})"  # noqa: S608
            " ON DUPLICATE KEY UPDATE stream = delivery_stream.stream",
            (stream,),
        )

    async def stream_state(self, conn: Connection, stream: str) -> StreamState | None:
        rows = await fetch(
            conn,
            f"{_STATE} WHERE stream = %s",
            (stream,),
        )
        return StreamState(*rows[0]) if rows else None

    async def lock_stream(self, conn: Connection, stream: str) -> StreamState:
        rows = await fetch(
            conn,
            f"{_STATE} WHERE stream = %s FOR UPDATE",
            (stream,),
        )
        if not rows:
            raise LookupError(f"stream {stream!r} has no row in delivery_stream")
        return StreamState(*rows[0])

    async def hold_stream(self, conn: Connection, lease: str, token: int, stream: str) -> StreamState | None:
        # The lease has to be written, so that two nodes of a cluster cannot both hold it.
        held, state = await ask_together(
            conn, (_HOLD, (lease, token)), (f"{_STATE} WHERE stream = %s FOR UPDATE", (stream,))
        )
        return StreamState(*state.rows[0]) if held.affected and state.rows else None

    async def advance_stream(self, conn: Connection, stream: str, from_seq: int, to_seq: int) -> bool:
        return await write(conn, _ADVANCE, (to_seq, stream, from_seq)) == 1

    async def ack_stream(self, conn: Connection, stream: str, seq: int) -> bool:
        return (
            await write(
                conn,
                "UPDATE delivery_stream SET acked_seq = %s WHERE stream = %s AND acked_seq < %s AND %s <= last_seq",
                (seq, stream, seq, seq),
            )
            == 1
        )

    async def rewind_stream(self, conn: Connection, stream: str, seq: int) -> bool:
        return (
            await write(
                conn,
                "UPDATE delivery_stream SET acked_seq = %s WHERE stream = %s AND acked_seq > %s",
                (seq, stream, seq),
            )
            == 1
        )

    # -- lease. UTC_TIMESTAMP is the start of the statement, before any wait for the row's lock: such a wait only makes
    # a lease look younger to its own holder, whose token no one has replaced.

    async def acquire_lease(self, conn: Connection, name: str, owner: str, ttl_s: float, takeover: bool) -> int | None:
        await write(
            conn,
            "INSERT INTO delivery_lease (name, owner, token, expires_at) VALUES (%s, '', 0, UTC_TIMESTAMP(6))"
            " ON DUPLICATE KEY UPDATE name = delivery_lease.name",
            (name,),
        )
        taken = await write(
            conn,
            f"UPDATE delivery_lease SET token = GREATEST(token + 1, {_NOW_US}), owner = %s,"  # noqa: S608
            f" expires_at = {_IN_TTL}"
            " WHERE name = %s AND (expires_at <= UTC_TIMESTAMP(6) OR (%s AND owner = %s))",
            (owner, ttl_s, name, takeover, owner),
        )
        if not taken:
            return None
        token: int = (await fetch(conn, "SELECT token FROM delivery_lease WHERE name = %s", (name,)))[0][0]
        return token

    async def lease_left(self, conn: Connection, name: str) -> float | None:
        rows = await fetch(
            conn,
            "SELECT TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), expires_at) / 1000000"
            " FROM delivery_lease WHERE name = %s",
            (name,),
        )
        return float(rows[0][0]) if rows else None

    async def renew_lease(self, conn: Connection, name: str, token: int, ttl_s: float) -> bool:
        return (
            await write(
                conn,
                f"UPDATE delivery_lease SET uses = uses + 1, expires_at = {_IN_TTL} WHERE name = %s AND token = %s",  # noqa: S608
                (ttl_s, name, token),
            )
            == 1
        )

    async def release_lease(self, conn: Connection, name: str, token: int) -> bool:
        return (
            await write(
                conn,
                "UPDATE delivery_lease SET uses = uses + 1, token = token + 1, expires_at = UTC_TIMESTAMP(6)"
                " WHERE name = %s AND token = %s",
                (name, token),
            )
            == 1
        )

    async def hold_lease(self, conn: Connection, name: str, token: int) -> bool:
        return await write(conn, _HOLD, (name, token)) == 1
