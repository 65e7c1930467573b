"""The whole stack for a test: four services, their servers and the front, beside any that runs already."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from stack import up
from stack.queries import Stores, stores
from stack.settings import PORTS_SPAN, Settings
from stack.shop import Shop, open_shop
from stack.stack import Stack
from tests.support.ports import free_port, free_ports
from tests.support.waiting import wait_until


class Ring:
    """Programs go by the names of the supervisor: reservation-1, billing-listener, postgres, ..."""

    def __init__(self, run: Path, made: Callable[[Settings], Stack] = Stack) -> None:
        self.stack = made(Settings(run, free_ports(PORTS_SPAN), free_port()))

    @property
    def base_url(self) -> str:
        return self.stack.settings.base_url

    @property
    def admin_key(self) -> str:
        return self.stack.secrets.get("admin-key")

    def up(self) -> None:
        """Starts what does not run; returns when everything is ready."""
        up.up(self.stack)

    def stop(self) -> None:
        up.stop(self.stack)

    def remove(self) -> None:
        """Stops it, and removes its data."""
        up.stop(self.stack)
        self.stack.places.remove()

    @property
    def feed_ports(self) -> tuple[int, ...]:
        """Every port on which a feed listens: both reservations, billing, bridge."""
        ports = self.stack.ports
        return (*ports.reservation_feed, ports.billing_feed, ports.bridge_feed)

    async def kill(self, program: str) -> None:
        """SIGKILL; the supervisor starts it again at once. One that is just coming back from a kill is waited for."""
        await wait_until(lambda: self.stack.supervisor.states()[program].pid)
        await asyncio.to_thread(self.stack.supervisor.kill, program)

    async def stop_program(self, program: str, *, sigkill: bool = False) -> None:
        """Stops it (SIGTERM, or what the server prefers, and a drain; or SIGKILL); it stays down until ``start``."""
        supervisor = self.stack.supervisor
        if sigkill:
            await asyncio.to_thread(supervisor.kill_and_keep_down, program)
        else:
            await asyncio.to_thread(supervisor.stop_programs, [program])

    async def start(self, program: str) -> None:
        """Starts it and does not wait until it is ready: see ``ready``."""
        await asyncio.to_thread(self.stack.supervisor.start_programs, [program])

    async def ready(self, timeout_s: float = 60) -> None:
        """Returns when every program runs and every service says that it is ready."""

        def all_ready() -> bool:
            states = self.stack.supervisor.states()
            for program in self.stack.programs():
                assert states[program.name].state == "RUNNING", states[program.name]
                if program.ready_port is not None:
                    said = up.not_ready(program.ready_port)
                    assert said is None, f"{program.name}: {said}"
            return True

        await wait_until(lambda: asyncio.to_thread(all_ready), timeout_s, interval_s=0.1)

    def logs(self, program: str) -> str:
        return (self.stack.places.logs / f"{program}.log").read_text(errors="replace")

    def dsn(self, service: str) -> str:
        """Of a service's own Postgres database: reservation or portal."""
        return self.stack.postgres_dsn(service)

    @asynccontextmanager
    async def shop(self) -> AsyncIterator[Shop]:
        """HTTP through the front, insisting as a good client does."""
        async with open_shop(self.base_url, self.admin_key) as shop:
            yield shop

    @contextmanager
    def stores(self) -> Iterator[Stores]:
        """The three stores, open for reading."""
        with stores(self.stack) as opened:
            yield opened


@pytest.fixture(scope="session")
def ring(servers_folder: Path) -> Iterator[Ring]:
    """A running stack. A test that takes something down must bring it back: others share it."""
    folder = servers_folder / "ring"
    ring = Ring(folder)
    try:
        ring.up()
        yield ring
    finally:
        ring.remove()
