"""A portal's inside with mail: deliveries by hand, a mail server of the test's own."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from portal import store, store_mails
from portal.applier import Applier
from portal.mail_server import MailServer
from portal.mailer import Mailer
from portal.mailing import Mailing
from portal.sale import Sale
from tests.unit.portal.events import NOON_US
from ticketflow.delivery import Outbox, PostgresDialect
from ticketflow.events import Envelope, decode, encode
from ticketflow.runtime.amqp import Delivery
from ticketflow.runtime.postgres import PostgresPool

SENDER = "tickets@example.org"
PUBLIC_URL = "https://tickets.example.org"
_seqs = itertools.count(1)


def delivered(event: Envelope) -> Delivery:
    return Delivery(1, event.kind, {"stream": "billing", "epoch": 3, "seq": next(_seqs)}, encode(event), False)


class MailingPortal:
    """Applies events, decides mails, sends them when told to."""

    def __init__(
        self, pool: PostgresPool, smtp_url: str, *, mailing: Mailing | None = None, ca: Path | None = None
    ) -> None:
        self.pool = pool
        self.server = MailServer.parse(smtp_url, ca)
        self.applier = Applier(
            pool,
            "billing",
            Outbox(PostgresDialect(), "portal"),
            mailing=mailing or Mailing(lambda: NOON_US + 60_000_000),
        )
        self.mailer = self.a_mailer()

    def a_mailer(self, pause_s: float = 0, step_timeout_s: float = 10) -> Mailer:
        """One that waits for nothing between attempts."""
        return Mailer(
            self.pool,
            self.server,
            sender=SENDER,
            public_url=PUBLIC_URL,
            pause_s=lambda _: pause_s,
            step_timeout_s=step_timeout_s,
        )

    async def apply(self, *events: Envelope) -> None:
        """In one transaction."""
        await self.applier.apply([delivered(event) for event in events])

    async def address(self, buyer_id: str, email: str) -> None:
        async with self.pool.transaction() as conn:
            await store_mails.put_contact(conn, buyer_id, email)

    async def send(self) -> None:
        """Until nothing is due."""
        while await self.mailer.run_once():
            pass

    async def sale(self, order_id: str) -> Sale:
        async with self.pool.acquire() as conn:
            sale = await store.sale(conn, order_id)
        assert sale is not None
        return sale

    async def mails(self, order_id: str) -> Sequence[tuple[str, str, int]]:
        """(kind, state, attempts), in the order in which they were decided."""
        async with self.pool.acquire() as conn:
            rows = await conn.fetch(
                "SELECT kind, state, attempts FROM mails WHERE order_id = $1 ORDER BY created_at, kind", order_id
            )
        return [(row["kind"], row["state"], row["attempts"]) for row in rows]

    async def staged(self) -> list[Envelope]:
        async with self.pool.acquire() as conn:
            rows = await conn.fetch("SELECT body FROM delivery_outbox WHERE stream = 'portal' ORDER BY position")
        return [decode(row["body"]) for row in rows]
