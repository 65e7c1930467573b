"""A small town in which all is sound: reservation, billing and portal on real stores, with the sandbox as provider.

Their own code does everything; the test carries what they tell each other from outbox to inbox, so that nothing happens
between two looks of the audit unless the test wants it. The audit looks without grace, twice within a moment.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from audit.money import suspects
from audit.money.command import Wish, reconcile
from audit.money.repairs import Repaired
from audit.money.round import Outcome
from audit.money.sides import Difference
from audit.settings import AuditSettings
from billing.ledger import causes
from billing.ledger.causes import Purchase, VerifiedWebhook
from billing.orders.handlers import handlers as billing_handlers
from billing.payments.paying import Ask
from billing.settings import DatabaseSettings
from billing.store import ledger
from portal.applier import Applier
from reservation.service import handlers as reservation_handlers
from reservation.store_holds import HoldStore
from stack.servers.mariadb import MariaDBServer
from tests.integration.billing.world import World
from tests.integration.reservation.house import Replica
from tests.integration.sandbox.process import PROVIDER_KEY
from tests.support.buyer import Buyer, Event
from ticketflow.delivery import Outbox, PostgresDialect
from ticketflow.events import Envelope, OrderRefunded, Payload, TicketsVoided, decode, new_id, payload_of
from ticketflow.runtime.amqp import Delivery
from ticketflow.runtime.mariadb import execute
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.settings import Secret

SEATS = 24


@dataclass(frozen=True)
class Databases:
    """Migrated, and the provider beside them."""

    reservation_dsn: str
    portal_dsn: str
    billing: DatabaseSettings
    provider_url: str
    server: MariaDBServer

    def settings(self, **others: Any) -> AuditSettings:
        known: dict[str, Any] = {
            "reservation_dsn": Secret(self.reservation_dsn),
            "portal_dsn": Secret(self.portal_dsn),
            "billing_hosts": self.billing.database_hosts,
            "billing_name": self.billing.database_name,
            "billing_user": self.billing.database_user,
            "billing_password": self.billing.database_password,
            "provider_url": self.provider_url,
            "provider_key": Secret(PROVIDER_KEY),
            "provider_rate": 1000.0,
            "grace_s": 0.0,
            "confirm_s": 0.01,
        }
        return AuditSettings(**(known | others))

    def environment(self) -> dict[str, str]:
        """For ``python -m audit``."""
        settings = self.settings()
        return {
            "AUDIT_RESERVATION_DSN": settings.reservation_dsn,
            "AUDIT_PORTAL_DSN": settings.portal_dsn,
            "AUDIT_BILLING_HOSTS": ",".join(map(str, settings.billing_hosts)),
            "AUDIT_BILLING_NAME": settings.billing_name,
            "AUDIT_BILLING_USER": settings.billing_user,
            "AUDIT_BILLING_PASSWORD": settings.billing_password,
            "AUDIT_PROVIDER_URL": self.provider_url,
            "AUDIT_PROVIDER_KEY": PROVIDER_KEY,
            "AUDIT_PROVIDER_RATE": "1000",
            "AUDIT_GRACE_S": "0",
            "AUDIT_CONFIRM_S": "0.01",
        }


class Town:
    """``event``: of this test alone."""

    def __init__(self, databases: Databases, replica: Replica, world: World, portal: PostgresPool) -> None:
        self.databases = databases
        self.reservation = replica.pool
        self.replica = replica
        self.world = world
        self.portal = portal
        self.event = Event(replica.shop, "")
        self.free: list[str] = []  # seats of it that nobody had yet
        self._applier = Applier(portal, "billing", Outbox[Connection](PostgresDialect(), "portal"))
        self._facts = billing_handlers(self.world.changes)
        self._commands = reservation_handlers(replica.outbox)

    @classmethod
    @asynccontextmanager
    async def opened(cls, databases: Databases) -> AsyncIterator["Town"]:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(aiohttp.ClientSession())
            replica = await Replica.start(databases.reservation_dsn, http)
            stack.push_async_callback(replica.stop)
            world = await stack.enter_async_context(
                World.opened(databases.billing, databases.provider_url, PROVIDER_KEY)
            )
            portal = PostgresPool(databases.portal_dsn, name="portal")
            await portal.open()
            stack.push_async_callback(portal.close)
            town = cls(databases, replica, world, portal)
            town.event = await replica.shop.event(seats=SEATS)
            town.free = list(town.event.seats)
            await town.forget()
            yield town

    # -- what people do

    async def hold(self, seats: int = 2, *, buyer_id: str = "buyer-1") -> str:
        """Its order's id. Billing has it, and the portal."""
        wanted, self.free = self.free[:seats], self.free[seats:]
        bought = await Buyer(self.replica.shop, buyer_id).hold(self.event, wanted)
        await self.carry()
        return bought.hold_id

    async def pay(self, order_id: str, *, card: str = "tok_ok", credits_minor: int = 0) -> str:
        """The payment's id; nothing is carried yet."""
        ask = Ask(order_id, new_id(), b"x" * 32, "card", card, credits_minor)
        await self.world.payments.pay(ask)
        rows = await self.rows("SELECT payment_id FROM payments WHERE order_id = %s ORDER BY started_at DESC", order_id)
        return str(rows[0]["payment_id"])

    async def sold(self, seats: int = 2, *, credits_minor: int = 0, buyer_id: str = "buyer-1") -> str:
        """A confirmed order's id."""
        order_id = await self.hold(seats, buyer_id=buyer_id)
        await self.pay(order_id, credits_minor=credits_minor)
        await self.carry()
        rows = await self.rows("SELECT state FROM orders WHERE order_id = %s", order_id)
        assert rows == [{"state": "CONFIRMED"}]
        return order_id

    async def failed(self, seats: int = 2) -> str:
        """An order whose buyer gave the seats back, once a card had been declined."""
        order_id = await self.hold(seats)
        await self.pay(order_id, card="tok_declined")
        await self.release(order_id)
        return order_id

    async def release(self, order_id: str) -> None:
        await self.release_untold(order_id)
        await self.carry()

    async def release_untold(self, order_id: str) -> None:
        """Nobody has been told of it yet."""
        await HoldStore(self.reservation, self.replica.outbox).release(order_id)

    async def topped_up(
        self, buyer_id: str, amount_minor: int, *, state: str = "CREDITED", booked: bool = True, paid: bool = True
    ) -> str:
        """Credits were bought, and the provider has the money."""
        topup_id, webhook_id = new_id(), new_id()
        if paid:
            await self.take(topup_id, amount_minor)
        async with self.world.pool.transaction() as conn:
            await execute(
                conn,
                "INSERT INTO topups (topup_id, buyer_id, state, amount_minor, currency, provider, correlation_id)"
                " VALUES (%s, %s, %s, %s, 'EUR', 'sandbox', 'c')",
                (topup_id, buyer_id, state, amount_minor),
            )
            webhook = VerifiedWebhook(webhook_id, "sandbox")
            if booked:
                await ledger.record(conn, [causes.topup(topup_id, buyer_id, amount_minor, "EUR", webhook)])
        return topup_id

    async def told_of(self, topup_id: str, *, state: str = "APPLIED") -> str:
        """A webhook of the provider's was about that top-up: its id."""
        webhook_id = new_id()
        await self.change(
            "INSERT INTO webhooks (webhook_id, provider, provider_event_id, kind, reference, headers, body, state)"
            " VALUES (%s, 'sandbox', %s, 'payment', %s, '{}', '', %s)",
            webhook_id,
            webhook_id,
            topup_id,
            state,
        )
        return webhook_id

    async def take(self, reference: str, amount_minor: int, *, capture: bool = True) -> str:
        """Money at the provider, past billing: the authorisation's id."""
        wanted = {"reference": reference, "amount_minor": amount_minor, "currency": "EUR", "card_token": "tok_ok"}
        async with self.world.bank.post(
            "/v1/authorizations", json=wanted, headers={"Idempotency-Key": new_id()}
        ) as response:
            taken = await response.json()
        id_ = str(taken["authorization_id"])
        if capture:
            await self.world.provider.capture(id_, amount_minor, key=f"{id_}:capture")
        return id_

    async def refunded(
        self,
        order_id: str,
        tickets: int = 1,
        *,
        fee_minor: int = 0,
        done: bool = True,
        booked: bool = True,
        at_provider: bool = True,
    ) -> str:
        """The first tickets of an order are void, and what they cost but for a fee is paid back, when ``done``."""
        refund_id = new_id()
        order = (await self.rows("SELECT * FROM orders WHERE order_id = %s", order_id))[0]
        (payment,) = await self.rows("SELECT * FROM payments WHERE order_id = %s AND state = 'CAPTURED'", order_id)
        void = (
            await self.rows(
                "SELECT ticket_id, unit_id, price_minor FROM tickets JOIN order_lines USING (order_id, unit_id)"
                " WHERE order_id = %s AND voided_at IS NULL ORDER BY ticket_id",
                order_id,
            )
        )[:tickets]
        amount_minor = sum(ticket["price_minor"] for ticket in void) - fee_minor
        purchase = Purchase(order_id, order["event_id"], order["buyer_id"], "EUR")
        whole = order["refunds_minor"] + amount_minor == order["total_minor"]
        facts: list[Payload] = [
            TicketsVoided(
                order_id=order_id,
                refund_id=refund_id,
                ticket_ids=[ticket["ticket_id"] for ticket in void],
                unit_ids=[ticket["unit_id"] for ticket in void],
                seats_back=False,
                reason="r",
            )
        ]
        async with self.world.pool.transaction() as conn:
            await execute(
                conn,
                "INSERT INTO refunds (refund_id, order_id, payment_id, state, card_minor, credits_minor, currency,"
                " reason, seats_back, correlation_id) VALUES (%s, %s, %s, %s, %s, 0, 'EUR', 'r', %s, 'c')",
                (
                    refund_id,
                    order_id,
                    payment["payment_id"],
                    "REFUNDED" if done else "REQUESTED",
                    amount_minor,
                    False,
                ),
            )
            await execute(
                conn,
                "UPDATE tickets SET voided_at = UTC_TIMESTAMP(6), refund_id = %s WHERE ticket_id IN %s",
                (refund_id, [ticket["ticket_id"] for ticket in void]),
            )
            state = order["state"] if not done else "REFUNDED" if whole else "PARTIALLY_REFUNDED"
            await execute(
                conn,
                "UPDATE orders SET refunds_minor = refunds_minor + %s, state = %s WHERE order_id = %s",
                (amount_minor, state, order_id),
            )
            if done and booked:
                await ledger.record(conn, [causes.refund(purchase, refund_id, "sandbox", amount_minor)])
            if done:
                facts.append(
                    OrderRefunded(
                        order_id=order_id,
                        refund_id=refund_id,
                        amount_minor=amount_minor,
                        credits_minor=0,
                        refunded_minor=order["refunds_minor"] + amount_minor,
                        currency="EUR",
                        complete=whole,
                        reason="r",
                    )
                )
            await self.world.changes.stage(conn, order_id, facts)
        if done and at_provider:
            await self.world.provider.refund(payment["authorization_id"], amount_minor, key=refund_id)
        await self.carry()
        return refund_id

    # -- between the services

    async def carry(self) -> None:
        """Everything that is told reaches those it is for, and the workers do what is due, until nothing is left."""
        while await self._carried():
            pass

    async def forget(self) -> None:
        """What is on its way is lost."""
        for pool in (self.reservation, self.portal):
            async with pool.acquire() as conn:
                await conn.execute("DELETE FROM delivery_outbox")
        await self.change("DELETE FROM delivery_outbox")

    async def staged(self, store: str) -> list[Payload]:
        """What waits in a store's outbox, in order."""
        if store == "billing":
            rows: Sequence[Any] = await self.rows("SELECT body FROM delivery_outbox ORDER BY position")
        else:
            pool = self.portal if store == "portal" else self.reservation
            async with pool.acquire() as conn:
                rows = await conn.fetch("SELECT body FROM delivery_outbox ORDER BY position")
        return [payload for row in rows if (payload := payload_of(decode(row["body"]))) is not None]

    async def _carried(self) -> int:
        count = 0
        async with self.reservation.acquire() as conn:
            bodies = await conn.fetch("DELETE FROM delivery_outbox RETURNING position, body")
        for row in sorted(bodies, key=lambda row: row["position"]):
            await self._take_in(decode(row["body"]))
            count += 1
        count += await self.world.run("capture", "void")
        count += await self.tell_the_portal()
        async with self.portal.acquire() as conn:
            commands = await conn.fetch("DELETE FROM delivery_outbox RETURNING position, body")
        for command in sorted(commands, key=lambda row: row["position"]):
            await self._obey(decode(command["body"]))
            count += 1
        return count

    async def tell_the_portal(self) -> int:
        """What billing tells, and no further; how many events."""
        told = await self.rows("SELECT body FROM delivery_outbox ORDER BY position")
        await self.change("DELETE FROM delivery_outbox")
        for event in told:
            await self._applier.apply([Delivery(0, decode(event["body"]).kind, {}, event["body"], False)])
        return len(told)

    async def _take_in(self, envelope: Envelope) -> None:
        async with self.world.pool.transaction() as conn:
            await self._facts[envelope.kind](conn, envelope)

    async def _obey(self, envelope: Envelope) -> None:
        async with self.reservation.transaction() as conn:
            await self._commands[envelope.kind](conn, envelope)

    # -- the stores

    async def rows(self, sql: str, *params: Any) -> list[dict[str, Any]]:
        """Billing's."""
        return await self.world.rows(sql, *params)

    async def change(self, sql: str, *params: Any) -> int:
        """In billing's store, past billing."""
        async with self.world.pool.transaction() as conn:
            return await execute(conn, sql, params)

    async def reserve(self, sql: str, *params: Any) -> None:
        """In reservation's store, past reservation."""
        async with self.reservation.transaction() as conn:
            await conn.execute(sql, *params)

    async def show(self, sql: str, *params: Any) -> None:
        """In the portal's store, past the portal."""
        async with self.portal.transaction() as conn:
            await conn.execute(sql, *params)

    def admin(self) -> Any:
        """Whoever owns MariaDB."""
        return self.databases.server.connect()

    async def payment_of(self, order_id: str) -> dict[str, Any]:
        return (await self.rows("SELECT * FROM payments WHERE order_id = %s ORDER BY started_at DESC", order_id))[0]

    async def audited(self, kind: str) -> list[str]:
        """What delivery_audit of any store says of repairs of this kind, for this event's orders or others."""
        action = f"audit.{kind}"
        found = [
            row["subject"] for row in await self.rows("SELECT subject FROM delivery_audit WHERE action = %s", action)
        ]
        for pool in (self.reservation, self.portal):
            async with pool.acquire() as conn:
                rows = await conn.fetch("SELECT subject FROM delivery_audit WHERE action = $1", action)
            found += [row["subject"] for row in rows]
        return found

    # -- the audit

    async def audit(self, *, everywhere: bool = False, **limits: Any) -> Outcome:
        outcome, _ = await reconcile(self.databases.settings(**limits), self._wish(everywhere))
        assert outcome.away == []
        return outcome

    async def found(self, *, everywhere: bool = False, **limits: Any) -> list[Difference]:
        return (await self.audit(everywhere=everywhere, **limits)).differences

    async def repair(self, *kinds: str, really: bool = True, everywhere: bool = False, **limits: Any) -> list[Repaired]:
        wish = replace(self._wish(everywhere), repair=kinds, really=really, actor="test")
        _, repaired = await reconcile(self.databases.settings(**limits), wish)
        assert repaired is not None
        return repaired

    @asynccontextmanager
    async def between_the_looks(self, act: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """The audit's second look comes after ``act``."""
        original = suspects.until

        async def then(at: float) -> None:
            await act()
            await original(at)

        suspects.until = then
        try:
            yield
        finally:
            suspects.until = original

    def _wish(self, everywhere: bool) -> Wish:
        return Wish(provider="all") if everywhere else Wish(self.event.event_id)
