"""A service whose database has not been migrated says so in /readyz, and is ready once it has."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from billing import service as billing
from billing import settings as billing_settings
from portal import service as portal
from portal.settings import PortalSettings
from reservation import service as reservation
from tests.integration.reservation.house import settings_for
from tests.support.databases import Database
from tests.support.waiting import wait_until
from ticketflow.feed import Address
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.schema import SchemaCheck
from ticketflow.runtime.service import Service
from ticketflow.runtime.settings import Secret

NOWHERE = Address("127.0.0.1", 1)
Migrate = Callable[[], int]


async def of_reservation(service: Service, database: Database) -> Migrate:
    settings = settings_for(database.dsn)
    await reservation.serve(service, settings)
    return lambda: reservation.migrate(settings)


async def of_portal(service: Service, database: Database) -> Migrate:
    settings = PortalSettings(
        database_dsn=Secret(database.dsn),
        http_port=0,
        amqp_url=Secret(f"amqp://a:b@{NOWHERE}/"),
        reservation_feed=(NOWHERE,),
        admin_key=Secret("k"),
    )
    await portal.serve(service, settings)
    return lambda: portal.migrate(settings)


async def of_billing(service: Service, database: Database) -> Migrate:
    settings = billing_settings.WebSettings(
        database_hosts=(NOWHERE, Address.parse(database.address)),
        database_name=database.name,
        database_user=database.user,
        database_password=Secret(database.password),
        http_port=0,
        provider_url=f"http://{NOWHERE}",
        provider_key=Secret("k"),
        admin_key=Secret("k"),
        hold_token_keys=(Secret("k"),),
    )
    await billing.web(service, settings)
    return lambda: billing.run_migrations(settings)


async def until_the_schema_is(service: Service, said: str) -> None:
    """``said``: a pattern for the whole of it. The workers' failures keep the stores busy, so a probe may come late."""

    async def is_so() -> bool:
        return re.fullmatch(said, (await service.health.failures()).get("schema", "")) is not None

    await wait_until(is_so, interval_s=0.05)


@pytest.mark.parametrize(
    ("start", "database", "first"),
    [
        (of_reservation, "postgres_database", "0001_catalogue"),
        (of_portal, "postgres_database", "0001_delivery"),
        (of_billing, "mariadb_database", "0001_billing"),
    ],
)
async def test_the_schema_is_a_part_of_being_ready(
    request: pytest.FixtureRequest,
    start: Callable[[Service, Database], Awaitable[Migrate]],
    database: str,
    first: str,
) -> None:
    service = Service("test", "test-1")
    migrate = await start(service, request.getfixturevalue(database))
    try:
        await until_the_schema_is(service, f"not applied: .*{first}.*run `migrate`")
        await asyncio.to_thread(migrate)
        await until_the_schema_is(service, "")
    finally:
        await service.drain(5)


async def test_what_is_there_is_not_asked_for_again_and_a_store_that_is_away_is_no_news(tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").touch()
    (tmp_path / "0002_two.sql").touch()
    asked = 0
    found: set[str] | None = None

    async def applied() -> set[str]:
        nonlocal asked
        asked += 1
        if found is None:
            raise Unavailable("away")
        return found

    check = SchemaCheck([tmp_path], applied)
    await check.check()
    found = {"0001_one", "0007_of_a_newer_release"}
    with pytest.raises(Unavailable, match="not applied: 0002_two; run `migrate`"):
        await check.check()
    found = None  # away again: what it was seen to lack it has not got by that
    with pytest.raises(Unavailable, match="not applied: 0002_two; run `migrate`"):
        await check.check()
    found = {"0001_one", "0002_two"}
    for _ in range(3):
        await check.check()
    assert asked == 4
