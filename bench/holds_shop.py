"""A shop that can only place holds: Postgres, two replicas of a service, nginx before them as in the embedded stack."""

import asyncio
import contextlib
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path

import asyncpg
import msgspec

from bench.holds_load import Told, Wishes
from bench.run import Run
from reservation import service
from reservation.settings import DatabaseSettings
from stack.servers.nginx import NginxServer
from stack.settings import ROOT
from tests.support.running import RunningServer
from tests.support.waiting import wait_until
from ticketflow.runtime.settings import Secret

CONNECTIONS = 32
REPLICAS = 2
READY_S = 30.0
NOBODY = "127.0.0.1:1"


class Shop:
    """``conn``: past the service, for halls and for checks."""

    def __init__(self, run: Run, dsn: str, conn: "asyncpg.Connection[asyncpg.Record]", folder: Path) -> None:
        self.run = run
        self.dsn = dsn
        self.conn = conn
        self.folder = folder

    @contextlib.asynccontextmanager
    async def front(self, ports: Sequence[int]) -> AsyncIterator[int]:
        """nginx with its own configuration before these replicas; its port."""
        home = self.folder / f"nginx-{ports[0]}"
        addresses = {"RESERVATION": [f"127.0.0.1:{port}" for port in ports], "BILLING": [NOBODY], "PORTAL": [NOBODY]}
        server = NginxServer(home, self.run.port(), addresses)
        running = RunningServer(server, self.folder / "nginx.log")
        try:
            await asyncio.to_thread(running.start)
            yield server.port
        finally:
            await asyncio.to_thread(running.stop)

    @contextlib.asynccontextmanager
    async def reservation(self) -> AsyncIterator[int]:
        """Ours: REPLICAS processes behind nginx; its port."""
        ports = [self.run.port() for _ in range(REPLICAS)]
        async with contextlib.AsyncExitStack() as stack:
            for number, port in enumerate(ports):
                environment = {
                    "RESERVATION_DATABASE_DSN": self.dsn,
                    "RESERVATION_INSTANCE": f"bench-{number}",
                    "RESERVATION_HTTP_PORT": str(port),
                    "RESERVATION_FEED_PORT": str(self.run.port()),
                    "RESERVATION_BILLING_FEED": NOBODY,
                    "RESERVATION_ADMIN_KEY": "bench",
                    "RESERVATION_HOLD_TOKEN_KEYS": "bench",
                }
                await stack.enter_async_context(
                    process(["-m", "reservation", "serve"], environment, self.folder, f"reservation-{number}")
                )
            await asyncio.gather(*(ready(f"http://127.0.0.1:{port}/readyz") for port in ports))
            yield await stack.enter_async_context(self.front(ports))

    @contextlib.asynccontextmanager
    async def fastapi(self) -> AsyncIterator[int]:
        """The peer: as many processes of it, behind the same nginx; its port."""
        ports = [self.run.port() for _ in range(REPLICAS)]
        async with contextlib.AsyncExitStack() as stack:
            for port in ports:
                arguments = ["-m", "bench.holds_fastapi_app", str(port), self.dsn]
                await stack.enter_async_context(process(arguments, {}, self.folder, f"fastapi-{port}"))
            await asyncio.gather(*(ready(f"http://127.0.0.1:{port}/readyz") for port in ports))
            yield await stack.enter_async_context(self.front(ports))


@contextlib.asynccontextmanager
async def opened(run: Run) -> AsyncIterator[Shop]:
    with run.folder() as folder:
        async with run.postgres() as (_server, database):
            await asyncio.to_thread(service.migrate, DatabaseSettings(database_dsn=Secret(database.dsn)))
            conn = await asyncpg.connect(database.dsn)
            try:
                yield Shop(run, database.dsn, conn, folder)
            finally:
                await conn.close()


@contextlib.asynccontextmanager
async def process(
    arguments: Sequence[str], environment: Mapping[str, str], folder: Path, name: str
) -> AsyncIterator[None]:
    """A process of this Python, told to end afterwards."""
    with (folder / f"{name}.log").open("wb") as log:
        running = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, cwd=ROOT, env={**environment}, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        if running.returncode is None:
            running.terminate()
        try:
            async with asyncio.timeout(15):
                await running.wait()
        except TimeoutError:
            running.kill()
            await running.wait()


async def ready(url: str) -> None:
    """Returns when it is answered with 200. Raises the last failure."""
    await wait_until(lambda: asyncio.to_thread(_answers, url), READY_S)


def _answers(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own
        return bool(answer.status == 200)


async def ask(
    port: int, event_id: str, seats: Iterable[list[str]], seconds: float, connections: int = CONNECTIONS
) -> Told:
    """Asks for these seats for so long, in a process of its own."""
    wishes = Wishes(port=port, connections=connections, event_id=event_id, seats=list(seats), seconds=seconds)
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.holds_load",
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await client.communicate(msgspec.json.encode(wishes))
    assert client.returncode == 0, "the client failed"
    return msgspec.json.decode(said, type=Told)
