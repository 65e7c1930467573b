"""Wiring of billing's processes: nothing here decides anything."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import NoReturn, Protocol
from urllib.parse import quote

from billing.due import DueWatch
from billing.exports.routes import Exports
from billing.orders.api import Api
from billing.orders.changes import Changes
from billing.orders.handlers import handlers
from billing.payments.paying import Payments
from billing.payments.settlements import Settlements
from billing.payments.workers import KeyPurge, Watch, payment_workers
from billing.providers.choice import provider_of
from billing.providers.port import Provider
from billing.refunds.api import RefundApi
from billing.refunds.cancellation_api import CancellationApi
from billing.refunds.cancellations import Cancellations, CancellationWatch, CancellationWorker
from billing.refunds.deciding import Refunds
from billing.refunds.desk import RefundDesk
from billing.refunds.pacing import Pace
from billing.refunds.paying_back import RefundWatch, RefundWorker
from billing.settings import DatabaseSettings, ListenerSettings, ProviderSettings, WebSettings
from billing.wallets.admin_api import WalletAdminApi
from billing.wallets.api import WalletApi
from billing.wallets.topups import Topups
from billing.webhooks.door import WebhookApi
from billing.webhooks.workers import InboxWatch, WebhookPurge, inbox_workers
from ticketflow.delivery import (
    SCHEMA,
    HoleCheck,
    Inbox,
    MariaDBDialect,
    Outbox,
    ParkedWatch,
    Relays,
    Retention,
)
from ticketflow.delivery.hole_check import IDLE_S as HOLES_IDLE_S
from ticketflow.delivery.parking_watch import WATCH_EVERY_S
from ticketflow.feed import FeedServer, identity_of, tls_of
from ticketflow.runtime.bell import Bell, Ringer
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.http import HttpServer
from ticketflow.runtime.mariadb import Connection, MariaDBPool
from ticketflow.runtime.migrate import PATIENCE_S, migrate
from ticketflow.runtime.schema import SchemaCheck, applied_in_mariadb
from ticketflow.runtime.service import Service
from ticketflow.runtime.worker import LEISURE, STORE_BACKOFF_S, loop

VERSION = "1"
FOLDERS = (SCHEMA["mariadb"], Path(__file__).parent / "schema")
IN_STREAM, OUT_STREAM = "reservation", "billing"

# Workers are woken when something is due (due.py); this is how long one sleeps that nobody wakes.
WOKEN_IDLE_S = 15.0
REFUND_WATCH_IDLE_S = 10.0  # it reads all that are under way: 0.16 s for 100,000 of a cancelled event
PURGE_IDLE_S = 60.0
WATCH_IDLE_S = 5.0  # for metrics, which are read every 5 to 15 s
TLS_CHECK_S = 5.0  # renewed certificates are looked at that soon; who connects looks as well


def run_migrations(settings: DatabaseSettings) -> int:
    """Brings the schema up to date; how many migrations were applied."""
    hosts = ",".join(map(str, settings.database_hosts))
    user, password = quote(settings.database_user, safe=""), quote(settings.database_password, safe="")
    url = f"mysql://{user}:{password}@{hosts}/{quote(settings.database_name, safe='')}"
    return migrate(url, FOLDERS, "billing-migrate", patience_s=PATIENCE_S)


async def web(service: Service, settings: WebSettings) -> None:
    """The API."""
    ringer = Ringer(settings.listeners, OUT_STREAM)
    service.on_drain(_closing(ringer), 1)
    pool = await _pool(service, settings, size_max=16, committed=ringer.set)
    provider = await _provider(service, settings)
    outbox: Outbox[Connection] = Outbox(MariaDBDialect(), OUT_STREAM)
    changes = Changes(outbox)
    payments = Payments(pool, changes, provider, outbox)
    api = Api(pool, payments, settings.hold_token_keys)
    refunds = Refunds(pool, changes, outbox)
    refund_api = RefundApi(pool, refunds, RefundDesk(pool, refunds, provider))
    cancellation_api = CancellationApi(Cancellations(pool))
    keys = settings.hold_token_keys
    heard = bool(settings.provider_webhook_secrets)
    topups = Topups(pool, provider, max_minor=settings.topup_max_minor, heard=heard)
    server = HttpServer(
        [
            *api.routes(),
            *refund_api.routes(),
            *cancellation_api.routes(),
            *Exports(pool).routes(),
            *WebhookApi(pool, provider, stored=ringer.set).routes(),
            *WalletApi(pool, topups, keys).routes(),
            *WalletAdminApi(pool, keys).routes(),
        ],
        title="TicketFlow billing",
        version=VERSION,
        host=settings.http_host,
        port=settings.http_port,
        admin_key=settings.admin_key,
        health=service.health,
    )
    service.on_drain(lambda: server.drain(8), 9)
    await server.start()


async def listener(service: Service, settings: ListenerSettings) -> None:
    """The feed from reservation, the relay to the bridge, and the workers."""
    pool = await _pool(service, settings, size_max=16)
    provider = await _provider(service, settings)
    bell, ringer = Bell(settings.feed_host, settings.feed_port), Ringer(settings.listeners, OUT_STREAM)
    service.run_task("bell", bell.run)
    service.on_drain(_closing(ringer), 1)
    dialect = MariaDBDialect(bell=bell, ringer=ringer)
    outbox: Outbox[Connection] = Outbox(dialect, OUT_STREAM)
    changes = Changes(outbox)
    identity = identity_of(settings.feed_tls_cert, settings.feed_tls_key, settings.feed_tls_ca)
    relay = Relays(
        pool,
        dialect,
        stream=OUT_STREAM,
        addresses=settings.bridge_feed,
        owner=settings.instance,
        ssl=tls_of(identity, settings.bridge_feed_tls_allowed),
    )
    outbox.wakes(relay.wake)
    service.run_task("relay", relay.run)
    if identity is not None:
        service.run_task("tls", partial(loop, "tls", identity.run_once, idle_s=TLS_CHECK_S))

    settlements = Settlements(pool, changes, provider)
    refunds = Refunds(pool, changes, outbox)
    workers: dict[str, _Worker] = {
        **payment_workers(pool, settlements, outbox),
        **inbox_workers(pool, provider, settlements, outbox),
        "refunds": RefundWorker(pool, refunds, provider, outbox, Pace(settings.refunds_per_s)),
        "cancellations": CancellationWorker(pool, refunds, outbox),
    }
    wakes = {name: asyncio.Event() for name in workers}
    due = DueWatch(pool, wakes)
    for name, worker in workers.items():
        _repeat(service, name, _Ringing(worker, due), WOKEN_IDLE_S, wakes[name])
    _repeat(service, "due", due, due.idle_s, due.heard)
    service.run_task("due-bell", partial(_rung, bell, due))
    _repeat(service, "refund-watch", RefundWatch(pool), REFUND_WATCH_IDLE_S)
    _repeat(service, "cancellation-watch", CancellationWatch(pool), WATCH_IDLE_S)
    _repeat(service, "webhook-purge", WebhookPurge(pool), PURGE_IDLE_S, share_max=LEISURE)
    _repeat(service, "inbox-watch", InboxWatch(pool), WATCH_IDLE_S)
    _repeat(service, "key-purge", KeyPurge(pool), PURGE_IDLE_S, share_max=LEISURE)
    _repeat(service, "retention", Retention(pool, dialect, streams=[OUT_STREAM]), PURGE_IDLE_S, share_max=LEISURE)
    _repeat(service, "watch", Watch(pool), WATCH_IDLE_S)
    _repeat(service, "parked-watch", ParkedWatch(pool, dialect, IN_STREAM), WATCH_EVERY_S)

    def wake_all() -> None:
        relay.wake.set()
        due.ring()

    feed = FeedServer(
        Inbox(pool, dialect, stream=IN_STREAM, handlers=handlers(changes), committed=wake_all),
        host=settings.feed_host,
        port=settings.feed_port,
        ssl=tls_of(identity, settings.feed_tls_allowed),
        name=settings.instance,
        expected_errors=(OSError, TimeoutError, Unavailable, Indefinite),
    )
    _repeat(service, "holes", HoleCheck(pool, dialect, rewound=feed.renew), HOLES_IDLE_S)
    service.on_drain(lambda: feed.drain(3), 4)
    server = HttpServer(
        [],
        title="TicketFlow billing, listener",
        version=VERSION,
        host=settings.http_host,
        port=settings.http_port,
        admin_key=None,
        health=service.health,
    )
    service.on_drain(lambda: server.drain(1), 2)
    await feed.start()
    await server.start()


def database(
    settings: DatabaseSettings, *, size_min: int = 1, size_max: int, committed: Callable[[], None] | None = None
) -> MariaDBPool:
    """A pool that is not opened yet."""
    return MariaDBPool(
        settings.database_hosts,
        settings.database_name,
        settings.database_user,
        settings.database_password,
        name="billing",
        size_min=size_min,
        size_max=size_max,
        committed=committed,
    )


async def _pool(
    service: Service, settings: DatabaseSettings, *, size_max: int, committed: Callable[[], None] | None = None
) -> MariaDBPool:
    pool = database(settings, size_min=2, size_max=size_max, committed=committed)
    service.on_drain(pool.close, 3)
    service.health.add("database", pool.ping)
    service.health.add("schema", SchemaCheck(FOLDERS, applied_in_mariadb(pool)).check)
    await pool.open()
    return pool


async def _provider(service: Service, settings: ProviderSettings) -> Provider:
    provider = provider_of(settings)
    await provider.open()
    service.on_drain(provider.close, 1)
    return provider


class _Worker(Protocol):
    async def run_once(self) -> int: ...


class _Ringing:
    """``worker``; what it has done may be work for the others."""

    def __init__(self, worker: _Worker, due: DueWatch) -> None:
        self._worker = worker
        self._due = due

    async def run_once(self) -> int:
        count = await self._worker.run_once()
        if count:
            self._due.ring()
        return count


async def _rung(bell: Bell, due: DueWatch) -> NoReturn:
    with bell.heard(OUT_STREAM, due.ring):
        await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


def _closing(ringer: Ringer) -> Callable[[], Awaitable[None]]:
    async def close() -> None:
        ringer.close()

    return close


def _repeat(
    service: Service,
    name: str,
    worker: _Worker,
    idle_s: float | Callable[[], float],
    wake: asyncio.Event | None = None,
    share_max: float = 1.0,
) -> None:
    service.run_task(
        name,
        lambda: loop(name, worker.run_once, idle_s=idle_s, wake=wake, backoff_s=STORE_BACKOFF_S, share_max=share_max),
    )
