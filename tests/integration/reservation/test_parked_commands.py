"""``python -m reservation parked``, while the service runs: what it applies reaches billing."""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from reservation import service as reservation
from stack.servers.postgres import PostgresServer
from tests.integration.reservation.house import settings_for
from tests.support.commands import parked
from tests.support.databases import create_postgres, drop_postgres
from tests.support.ports import free_port
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.delivery import Inbox, PostgresDialect
from ticketflow.events import Envelope, HoldLost, SaleSettle, decode, encode, envelope_for, new_id, payload_of
from ticketflow.feed import VERSION, Address, FeedServer, Hello, Peer, Position
from ticketflow.runtime.postgres import PostgresPool
from ticketflow.runtime.service import Service

HELLO = Hello(VERSION, "portal", 1, 1, 1000, "portal")


class Billing:
    """Receives the stream; remembers in memory."""

    def __init__(self) -> None:
        self.events: list[Envelope] = []

    async def hello(self, hello: Hello, peer: Peer) -> Position:
        return Position(hello.epoch, len(self.events))

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        self.events += [decode(body) for body in bodies[len(self.events) + 1 - first_seq :]]
        return len(self.events)


@pytest.fixture
def own_dsn(postgres_server: RunningServer[PostgresServer]) -> Iterator[str]:
    """A database of its own: its stream begins with this test."""
    database = create_postgres(postgres_server.server)
    reservation.migrate(settings_for(database.dsn))
    yield database.dsn
    postgres_server.start()
    drop_postgres(postgres_server.server, database)


def settle(hold_id: str) -> Envelope:
    command = SaleSettle(hold_id=hold_id, payment_id=new_id(), started_at_us=1)
    return envelope_for(command, key=hold_id, correlation_id="walk-1")


async def buggy(_conn: Any, _envelope: Envelope) -> None:
    """What an older version of reservation did with every command."""
    raise KeyError("seat")


async def park(dsn: str, *events: Envelope) -> None:
    """As an older version would have parked them."""
    pool = PostgresPool(dsn, name="test", size_max=2)
    await pool.open()
    inbox = Inbox(pool, PostgresDialect(), stream="portal", handlers={SaleSettle.kind: buggy})
    await inbox.hello(HELLO, Peer("127.0.0.1", 1))
    await inbox.apply(HELLO, 1, [encode(event) for event in events])
    await pool.close()


async def test_what_is_requeued_reaches_billing(own_dsn: str) -> None:
    billing = Billing()
    receiver = FeedServer(billing, host="127.0.0.1", port=0)
    await receiver.start()
    service = Service("reservation", "r1")
    address = Address("127.0.0.1", receiver.port)
    settings = settings_for(own_dsn, http_port=free_port(), feed_port=free_port(), billing_feed=(address,))
    hold_id = new_id()
    await park(own_dsn, settle(hold_id), settle(hold_id))
    environment = {"RESERVATION_DATABASE_DSN": own_dsn}
    await reservation.serve(service, settings)
    try:
        rehearsed = await parked("reservation", environment, "requeue", hold_id, "--dry-run")
        assert (rehearsed.code, rehearsed.out.count("would be applied")) == (0, 2)
        assert (await parked("reservation", environment, "list", "--all")).out.count("KeyError: 'seat'") == 1

        done = await parked("reservation", environment, "requeue", hold_id, "--json")
        assert done.code == 0
        assert [event["result"] for event in done.json["events"]] == ["applied", "applied"]

        def told() -> bool:
            return [event.kind for event in billing.events] == ["hold.lost", "hold.lost"]

        await wait_until(told)
    finally:
        await service.drain(5)
        await receiver.drain(2)
    assert {event.correlation_id for event in billing.events} == {"walk-1"}
    lost = payload_of(billing.events[0])
    assert isinstance(lost, HoldLost)
    assert (lost.hold_id, lost.reason) == (hold_id, "unknown_hold")
    assert (await parked("reservation", environment, "list")).out == "nothing is parked\n"


async def test_what_can_never_be_applied_fails_again_and_is_discarded(own_dsn: str) -> None:
    await park(own_dsn, settle("no-id"))
    environment = {"RESERVATION_DATABASE_DSN": own_dsn}
    failed = await parked("reservation", environment, "requeue", "no-id")
    assert failed.code == 1
    assert "failed again (attempt 4): Poison: hold_id or payment_id is no id" in failed.out
    shown = await parked("reservation", environment, "show", "no-id")
    assert (shown.code, '"hold_id": "no-id"' in shown.out) == (0, True)
    [event] = (await parked("reservation", environment, "list", "--json")).json["parked"]
    gone = await parked("reservation", environment, "discard", event["id"], "--reason", "made by hand")
    assert gone.code == 0
    again = await parked("reservation", environment, "requeue", "no-id")
    assert (again.code, again.err) == (1, "reservation parked: nothing is parked under 'no-id'\n")


async def test_errors_are_one_line(own_dsn: str, postgres_server: RunningServer[PostgresServer]) -> None:
    bare = await parked("reservation", {}, "list")
    assert (bare.code, bare.err.count("\n")) == (2, 1)
    assert "RESERVATION_DATABASE_DSN is not set" in bare.err
    secret = {"RESERVATION_DATABASE_DSN": f"postgresql://a:secret@127.0.0.1:{free_port()}/x"}
    away = await parked("reservation", secret, "list")
    assert (away.code, "the database is away" in away.err, "secret" in away.err) == (1, True, False)
    fresh = create_postgres(postgres_server.server)
    try:
        unmigrated = await parked("reservation", {"RESERVATION_DATABASE_DSN": fresh.dsn}, "list")
    finally:
        drop_postgres(postgres_server.server, fresh)
    assert unmigrated.code == 1
    assert "delivery_parked" in unmigrated.err.splitlines()[-1]


async def test_a_requeue_that_is_killed_is_gone_on_with(own_dsn: str) -> None:
    hold_id = new_id()
    await park(own_dsn, *[settle(hold_id) for _ in range(40)])
    environment = {"RESERVATION_DATABASE_DSN": own_dsn}
    told = await _killed_after(5, environment, hold_id)
    left = (await parked("reservation", environment, "list", "--key", hold_id, "--json")).json["parked"]
    assert told <= 40 - len(left), "what was told is done"
    rest = await parked("reservation", environment, "requeue", hold_id, "--json") if left else None
    assert rest is None or [event["result"] for event in rest.json["events"]] == ["applied"] * len(left)
    pool = PostgresPool(own_dsn, name="test", size_max=2)
    await pool.open()
    async with pool.acquire() as conn:
        staged = await conn.fetchval("SELECT count(*) FROM delivery_outbox WHERE event_key = $1", hold_id)
        audits = await conn.fetchval("SELECT count(*) FROM delivery_audit WHERE action = 'parked.requeue'")
    await pool.close()
    assert (staged, audits) == (40, 40)


async def _killed_after(lines: int, environment: dict[str, str], hold_id: str) -> int:
    """SIGKILL as soon as so many events were told; how many were."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "reservation",
        "parked",
        "requeue",
        hold_id,
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    for _ in range(lines):
        assert b"applied" in await process.stdout.readline()
    process.kill()
    rest = await process.stdout.read()
    await process.wait()
    return lines + rest.count(b"applied")
