"""Wiring of the portal: consumer -> applier -> Postgres, relay -> reservation, the buyers' API, pages and mails."""

from functools import partial
from pathlib import Path

from portal.api import Api
from portal.applier import Applier
from portal.asker import LOOK_EVERY_S, Asker
from portal.asking import Asking
from portal.consumer import Consumer
from portal.contacts import Contacts
from portal.following import FAMILY
from portal.mail_server import MailServer
from portal.mailer import IDLE_S as MAIL_IDLE_S
from portal.mailer import Mailer
from portal.mailing import Mailing
from portal.sale_page import SalePage
from portal.settings import DatabaseSettings, PortalSettings
from portal.tracking import Tracking
from portal.workers import COUNT_EVERY_S, ParkedCounter, RelayCheck
from ticketflow.delivery import SCHEMA, HoleCheck, Outbox, PostgresDialect, Relays, Retention
from ticketflow.delivery.hole_check import IDLE_S as HOLES_IDLE_S
from ticketflow.events.topology import TOPOLOGY
from ticketflow.feed import identity_of, tls_of
from ticketflow.runtime.amqp import Broker
from ticketflow.runtime.amqp_tls import node_tls
from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.http import HttpServer
from ticketflow.runtime.migrate import PATIENCE_S
from ticketflow.runtime.migrate import migrate as apply_migrations
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.schema import SchemaCheck, applied_in_postgres
from ticketflow.runtime.service import Service
from ticketflow.runtime.worker import LEISURE, loop

STREAM_IN = FAMILY  # whose dedup keys are recorded under this name, or that of the lane they came by
STREAM_OUT = "portal"
FOLDERS = (SCHEMA["postgres"], Path(__file__).parent / "schema")
HTTP_DRAIN_S = 5.0
RETENTION_EVERY_S = 600.0
LEASE_CONNECTIONS = 2  # of their own: a renewal waits for no consumer or buyer
TLS_CHECK_S = 5.0  # renewed certificates are looked at that soon; who connects looks as well


def migrate(settings: DatabaseSettings) -> int:
    """Brings the schema up to date; how many files were applied. Raises Unavailable, MigrationError."""
    return apply_migrations(settings.database_dsn, FOLDERS, "portal", patience_s=PATIENCE_S)


async def serve(service: Service, settings: PortalSettings) -> None:
    """Builds the portal; it serves whether its neighbours are there or not."""
    pool = PostgresPool(settings.database_dsn, name="portal")
    dialect = PostgresDialect()
    outbox: Outbox[Connection] = Outbox(dialect, STREAM_OUT)
    identity = identity_of(settings.feed_tls_cert, settings.feed_tls_key, settings.feed_tls_ca)
    leases = PostgresPool(settings.database_dsn, name="leases", size_max=LEASE_CONNECTIONS)
    relay: Relays[Connection] = Relays(
        pool,
        dialect,
        stream=STREAM_OUT,
        addresses=settings.reservation_feed,
        owner=settings.instance,
        ssl=tls_of(identity, settings.reservation_feed_tls_allowed),
        renewals=leases,
    )
    outbox.wakes(relay.wake)
    nodes = node_tls(identity, settings.amqp_tls_allowed)
    broker = Broker(settings.amqp_url, TOPOLOGY, name=settings.instance, tls=nodes)
    asking = Asking()
    mail_server = settings.mail_server()
    mailer = None if mail_server is None else mailer_of(pool, mail_server, settings)
    mailing = Mailing() if mailer is not None else None
    applier = Applier(pool, FAMILY, outbox, Tracking(asking), mailing)
    consumer = Consumer(broker, applier, pool.ping)
    asker = Asker(pool, Broker(settings.amqp_url, TOPOLOGY, name=f"{settings.instance}-asker", tls=nodes), asking)
    http = HttpServer(
        [*Api(pool).routes(), *Contacts(pool, settings.hold_token_keys).routes(), *SalePage(pool).routes()],
        title="TicketFlow portal",
        version="1",
        host=settings.http_host,
        port=settings.http_port,
        admin_key=settings.admin_key,
        health=service.health,
    )
    service.health.add("postgres", pool.ping)
    service.health.add("schema", SchemaCheck(FOLDERS, applied_in_postgres(pool)).check)
    service.health.add("consumer", consumer.check)
    service.health.add("relay", RelayCheck(relay).check)
    for each in (pool, leases):
        await each.open()
        service.on_drain(each.close, 3)
    await http.start()
    service.on_drain(partial(http.drain, HTTP_DRAIN_S), HTTP_DRAIN_S + 1)
    service.run_task("consumer", consumer.run)
    service.run_task("relay", relay.run)
    if identity is not None:
        service.run_task("tls", partial(loop, "tls", identity.run_once, idle_s=TLS_CHECK_S))
    purge = Retention(pool, dialect, streams=[STREAM_OUT]).run_once
    service.run_task("retention", lambda: loop("retention", purge, idle_s=RETENTION_EVERY_S, share_max=LEISURE))
    holes = HoleCheck(pool, dialect).run_once
    service.run_task("holes", lambda: loop("holes", holes, idle_s=HOLES_IDLE_S))
    service.run_task(
        "parked", lambda: loop("parked", ParkedCounter(pool, dialect, STREAM_IN).run_once, idle_s=COUNT_EVERY_S)
    )
    service.run_task("asker", lambda: loop("asker", asker.run_once, idle_s=LOOK_EVERY_S))
    if mailer is not None:
        service.run_task("mailer", lambda: loop("mailer", mailer.run_once, idle_s=MAIL_IDLE_S))


def mailer_of(pool: PostgresPool, server: MailServer, settings: PortalSettings) -> Mailer:
    """Raises SettingsError when the mail server's CA cannot be used."""
    try:
        return Mailer(pool, server, sender=settings.mail_from or "", public_url=(settings.public_url or "").rstrip("/"))
    except ValueError as error:
        raise SettingsError([f"PORTAL_SMTP_CA: {error}"]) from error
