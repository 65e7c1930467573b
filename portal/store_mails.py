"""The SQL of mails and of buyers' addresses. Every function uses the caller's connection; nothing here commits."""

from collections.abc import Sequence
from dataclasses import dataclass

from portal.mail_rules import Mail
from portal.store_together import STANDING as WHEN
from portal.store_together import Together
from ticketflow.runtime.postgres import Connection

DETAIL_CHARS_MAX = 300
# An address that comes this late still gets what was to be told: see `put_contact`.
REMEMBERED = "interval '1 day'"


@dataclass(frozen=True)
class Taken:
    """A mail that a worker has taken to send. ``attempts``, this one included, tells his turn from another's."""

    mail_id: str
    order_id: str
    kind: str
    about: str
    buyer_id: str
    email: str | None
    attempts: int


def add(together: Together, mails: Sequence[Mail]) -> None:
    """As soon as their sales stand. Those that are new are due at once."""
    together.add_rows(
        "mailed",
        f"""
        INSERT INTO mails (mail_id, order_id, kind, about, buyer_id)
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[]) {WHEN}
        ON CONFLICT DO NOTHING
        """,  # noqa: S608 - constants
        [(mail.mail_id, mail.order_id, mail.kind, mail.about, mail.buyer_id) for mail in mails],
    )


async def any_due(conn: Connection) -> bool:
    """A look that locks and writes nothing."""
    return bool(
        await conn.fetchval("SELECT EXISTS (SELECT FROM mails WHERE state = 'DUE' AND due_at <= clock_timestamp())")
    )


async def take(conn: Connection, count: int, lease_s: float) -> list[Taken]:
    """Up to ``count`` that are due, for ``lease_s``: then somebody else may take them."""
    rows = await conn.fetch(
        """
        UPDATE mails SET attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => $2)
        FROM (SELECT mail_id FROM mails WHERE state = 'DUE' AND due_at <= clock_timestamp()
              ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) AS due
        WHERE mails.mail_id = due.mail_id
        RETURNING mails.mail_id::text, order_id::text, kind, about::text, buyer_id, attempts,
                  (SELECT email FROM contacts WHERE contacts.buyer_id = mails.buyer_id) AS email
        """,
        count,
        lease_s,
    )
    return [Taken(**dict(row)) for row in rows]


async def end(conn: Connection, mail: Taken, state: str, detail: str | None = None) -> bool:
    """It is over. False: somebody else has taken it since."""
    tag = await conn.execute(
        """
        UPDATE mails SET state = $3, detail = $4, changed_at = clock_timestamp()
        WHERE mail_id = $1 AND attempts = $2 AND state = 'DUE'
        """,
        mail.mail_id,
        mail.attempts,
        state,
        None if detail is None else detail[:DETAIL_CHARS_MAX],
    )
    return tag == "UPDATE 1"


async def end_without_address(conn: Connection, mail: Taken) -> bool:
    """The same when its buyer has no address. False: he has one by now, and it is due again."""
    await _take_turns(conn, mail.buyer_id)
    tag = await conn.execute(
        """
        UPDATE mails SET state = 'NO_ADDRESS', changed_at = clock_timestamp()
        WHERE mail_id = $1 AND attempts = $2 AND state = 'DUE'
          AND NOT EXISTS (SELECT FROM contacts WHERE contacts.buyer_id = mails.buyer_id)
        """,
        mail.mail_id,
        mail.attempts,
    )
    if tag == "UPDATE 1":
        return True
    await postpone(conn, mail, 0, "an address has come")
    return False


async def postpone(conn: Connection, mail: Taken, delay_s: float, detail: str) -> None:
    """It is due again in ``delay_s``."""
    await conn.execute(
        """
        UPDATE mails SET due_at = clock_timestamp() + make_interval(secs => $3), detail = $4
        WHERE mail_id = $1 AND attempts = $2 AND state = 'DUE'
        """,
        mail.mail_id,
        mail.attempts,
        delay_s,
        detail[:DETAIL_CHARS_MAX],
    )


async def waiting(conn: Connection) -> int:
    count = await conn.fetchval("SELECT count(*) FROM mails WHERE state = 'DUE'")
    assert isinstance(count, int)
    return count


async def put_contact(conn: Connection, buyer_id: str, email: str) -> None:
    """From now on mail goes there, that of the last day included which found no address."""
    await _take_turns(conn, buyer_id)
    await conn.execute(
        """
        INSERT INTO contacts (buyer_id, email) VALUES ($1, $2)
        ON CONFLICT (buyer_id) DO UPDATE SET email = excluded.email, changed_at = clock_timestamp()
        """,
        buyer_id,
        email,
    )
    await conn.execute(
        f"""
        UPDATE mails SET state = 'DUE', attempts = 0, due_at = clock_timestamp(), changed_at = clock_timestamp()
        WHERE buyer_id = $1 AND state = 'NO_ADDRESS' AND created_at > clock_timestamp() - {REMEMBERED}
        """,  # noqa: S608 - constants
        buyer_id,
    )


async def drop_contact(conn: Connection, buyer_id: str) -> None:
    await conn.execute("DELETE FROM contacts WHERE buyer_id = $1", buyer_id)


async def _take_turns(conn: Connection, buyer_id: str) -> None:
    """Until the transaction ends: or an address might come between the look for it and the end for want of it."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('contact ' || $1::text, 0))", buyer_id)
