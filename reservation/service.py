"""Wiring of the service, and nothing else."""

from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from reservation.api_catalogue import CatalogueApi
from reservation.api_holds import HoldsApi
from reservation.api_shown import ShownApi
from reservation.maps.snapshots import Limits
from reservation.readers import Readers
from reservation.settings import DatabaseSettings, ReservationSettings
from reservation.shown import Shown
from reservation.store_holds import HoldStore
from reservation.store_placing import FLUSHERS, Placing
from reservation.store_releasing import Releasing
from reservation.store_returning import Returning
from reservation.store_settling import Settling
from reservation.workers import PURGE_IDLE_S, Purger, Sweeper
from ticketflow.delivery import (
    SCHEMA,
    Handler,
    HoleCheck,
    Inbox,
    Outbox,
    ParkedWatch,
    PostgresDialect,
    Relays,
    Retention,
)
from ticketflow.delivery.hole_check import IDLE_S as HOLES_IDLE_S
from ticketflow.delivery.parking_watch import WATCH_EVERY_S
from ticketflow.events import SaleReturn, SaleSettle
from ticketflow.feed import FeedServer, identity_of, tls_of
from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.http import HttpServer, Route
from ticketflow.runtime.migrate import PATIENCE_S
from ticketflow.runtime.migrate import migrate as apply_migrations
from ticketflow.runtime.pool import FREE_FOR_READS
from ticketflow.runtime.postgres import Connection, PostgresPool
from ticketflow.runtime.schema import SchemaCheck, applied_in_postgres
from ticketflow.runtime.service import Service
from ticketflow.runtime.worker import LEISURE, STORE_BACKOFF_S, loop

STREAM_OUT = "reservation"
STREAM_IN = "portal"
FOLDERS = (SCHEMA["postgres"], Path(__file__).parent / "schema")
# What two cores' Postgres works off without queueing inside; requests beyond wait here, for 2 s at most.
BUYERS_CONNECTIONS = 8
FLUSHING_CONNECTIONS = FLUSHERS + FREE_FOR_READS  # of their own: a flusher waits for no reader, nor for a detained one
BACKGROUND_CONNECTIONS = 4  # of their own: a rush of buyers must not keep paid sales from being settled
# Of their own: a lease is not lost because sales wait to be settled. Two: with lanes one may wait for a row.
LEASE_CONNECTIONS = 2
READERS_CONNECTIONS = 2  # nor seat maps from being seen; however many maps are read, no more are read at once
GATHER_S = 0.004  # replicas decide in step (batching.py): within so long all of them have committed
REPLICA_ACQUIRE_S = 0.3  # where the primary would answer, nobody waits longer for a replica
HTTP_DRAIN_S = 5.0
FEED_DRAIN_S = 3.0
TLS_CHECK_S = 5.0  # renewed certificates are looked at that soon; who connects looks as well


def migrate(settings: DatabaseSettings) -> int:
    """Brings the schema up to date; how many files were applied. Raises Unavailable, MigrationError."""
    return apply_migrations(settings.database_dsn, FOLDERS, "reservation", patience_s=PATIENCE_S)


def routes(
    pool: PostgresPool,
    placing: Placing,
    outbox: Outbox[Connection],
    settings: ReservationSettings,
    readers: Readers | None = None,
) -> list[Route]:
    """Every endpoint of the service. Without ``readers`` what is shown is read from ``pool`` too."""
    shown = Shown(readers or Readers(pool), limits_of(settings))
    store = HoldStore(pool, outbox)
    holds = HoldsApi(placing, Releasing(pool, outbox, store), store, settings.hold_token_keys)
    return [
        *holds.routes(),
        *CatalogueApi(pool, shown).routes(),
        *ShownApi(shown, settings.seat_map_staleness_ms).routes(),
    ]


def limits_of(settings: ReservationSettings) -> Limits:
    return Limits(
        staleness_s=settings.seat_map_staleness_ms / 1000,
        stale_max_s=settings.seat_map_stale_max_ms / 1000,
        bytes_max=settings.seat_map_bytes_max,
    )


def handlers(outbox: Outbox[Connection]) -> dict[str, Handler[Connection]]:
    """What the stream in does, by kind of event."""
    return {SaleSettle.kind: Settling(outbox).settle, SaleReturn.kind: Returning(outbox).give_back}


async def serve(service: Service, settings: ReservationSettings) -> None:
    """Builds the service; it serves whether its neighbours are there or not."""
    buyers = PostgresPool(settings.database_dsn, name="buyers", size_max=BUYERS_CONNECTIONS)
    flushing = PostgresPool(settings.database_dsn, name="flushing", size_max=FLUSHING_CONNECTIONS)
    background = PostgresPool(settings.database_dsn, name="background", size_max=BACKGROUND_CONNECTIONS)
    readers = PostgresPool(settings.database_dsn, name="readers", size_max=READERS_CONNECTIONS)
    leases = PostgresPool(settings.database_dsn, name="leases", size_max=LEASE_CONNECTIONS)
    pools = [buyers, flushing, background, leases, readers]
    replica = None
    if settings.database_replica_dsn is not None:
        replica = PostgresPool(
            settings.database_replica_dsn,
            name="replica",
            size_max=READERS_CONNECTIONS,
            acquire_timeout_s=REPLICA_ACQUIRE_S,
            any_server=True,
        )
        pools.append(replica)
    dialect = PostgresDialect()
    outbox: Outbox[Connection] = Outbox(dialect, STREAM_OUT)
    identity = identity_of(settings.feed_tls_cert, settings.feed_tls_key, settings.feed_tls_ca)
    relay: Relays[Connection] = Relays(
        background,
        dialect,
        stream=STREAM_OUT,
        addresses=settings.billing_feed,
        owner=settings.instance,
        ssl=tls_of(identity, settings.billing_feed_tls_allowed),
        renewals=leases,
        gather_s=GATHER_S,
    )
    outbox.wakes(relay.wake)
    listener = FeedServer(
        Inbox(background, dialect, stream=STREAM_IN, handlers=handlers(outbox), committed=outbox.notify),
        host=settings.feed_host,
        port=settings.feed_port,
        ssl=tls_of(identity, settings.feed_tls_allowed),
        name=settings.instance,
        expected_errors=(Unavailable, Indefinite, OSError, TimeoutError),
    )
    placing = Placing(buyers, outbox, flushing)
    http = HttpServer(
        routes(buyers, placing, outbox, settings, Readers(readers, replica)),
        title="TicketFlow reservation",
        version=_version(),
        host=settings.http_host,
        port=settings.http_port,
        admin_key=settings.admin_key,
        health=service.health,
    )
    service.health.add("postgres", buyers.ping)
    service.health.add("schema", SchemaCheck(FOLDERS, applied_in_postgres(background)).check)
    for pool in pools:
        await pool.open()
        service.on_drain(pool.close, 3.0)
    await listener.start()
    service.on_drain(partial(listener.drain, FEED_DRAIN_S), FEED_DRAIN_S + 1)
    service.on_drain(placing.drain, HTTP_DRAIN_S)
    await http.start()
    service.on_drain(partial(http.drain, HTTP_DRAIN_S), HTTP_DRAIN_S + 1)
    retention = Retention(background, dialect, streams=[STREAM_OUT])
    service.run_task("relay", relay.run)
    if identity is not None:
        service.run_task("tls", partial(loop, "tls", identity.run_once, idle_s=TLS_CHECK_S))
    sweeper = Sweeper(background, outbox)
    service.run_task(
        "sweeper",
        partial(loop, "sweeper", sweeper.run_once, idle_s=sweeper.idle_s, backoff_s=STORE_BACKOFF_S),
    )
    for name, purge in (("purger", Purger(background).run_once), ("retention", retention.run_once)):
        leisurely = partial(loop, name, purge, idle_s=PURGE_IDLE_S, backoff_s=STORE_BACKOFF_S, share_max=LEISURE)
        service.run_task(name, leisurely)
    for name, run_once, idle_s in (
        ("holes", HoleCheck(background, dialect, rewound=listener.renew).run_once, HOLES_IDLE_S),
        ("parked-watch", ParkedWatch(background, dialect, STREAM_IN).run_once, WATCH_EVERY_S),
    ):
        service.run_task(name, partial(loop, name, run_once, idle_s=idle_s, backoff_s=STORE_BACKOFF_S))


def _version() -> str:
    try:
        return version("ticketflow")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
