"""One run of one goal: its rounds, its servers, its folder, and what it says meanwhile."""

import asyncio
import contextlib
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

from bench.goal import Round
from stack.servers.base import Server
from stack.servers.mariadb import MariaDBServer
from stack.servers.postgres import PostgresServer
from stack.servers.rabbitmq import RabbitMQPorts, RabbitMQServer
from tests.support.databases import Database, create_mariadb, create_postgres
from tests.support.ports import free_port
from tests.support.running import RunningServer

ROUNDS = 5  # the least that a median is taken of

Side = Callable[[], Awaitable[float]]


class Run:
    """``rounds``: how many pairs are measured, after one that warms up and is thrown away."""

    def __init__(self, name: str, rounds: int = ROUNDS) -> None:
        self.name = name
        self.rounds = rounds
        self._began = time.monotonic()

    def tell(self, text: str) -> None:
        """A line of progress, on stderr: stdout is for the result."""
        print(f"{self.name} {time.monotonic() - self._began:6.1f} s  {text}", file=sys.stderr, flush=True)

    async def interleaved(self, ours: Side, other: Side, *, warm_up: bool = True) -> list[Round]:
        """``rounds`` pairs, by turns, each side first in every second one."""
        if warm_up:
            self.tell("warming up")
            await ours()
            await other()
        rounds = []
        for number in range(1, self.rounds + 1):
            if number % 2:
                mine, others = await ours(), await other()
            else:
                others, mine = await other(), await ours()
            rounds.append(Round(mine, others))
            self.tell(
                f"round {number} of {self.rounds}: ours {mine:,.5g}, other {others:,.5g}, ratio {mine / others:.3g}"
            )
        return rounds

    def folder(self) -> "contextlib.AbstractContextManager[Path]":
        """An empty folder that a server's own user can reach; removed at the end."""
        return _folder()

    def port(self) -> int:
        """A free port of 127.0.0.1."""
        return free_port()

    @contextlib.asynccontextmanager
    async def postgres(self) -> AsyncIterator[tuple[PostgresServer, Database]]:
        """A server of its own, durable as in production, and an empty database."""
        with _folder() as folder:
            server = PostgresServer(folder / "postgres", free_port(), secrets.token_hex(16))
            async with _running(server, folder):
                yield server, await asyncio.to_thread(create_postgres, server)

    @contextlib.asynccontextmanager
    async def mariadb(self) -> AsyncIterator[tuple[MariaDBServer, Database]]:
        """A server of its own, durable as in production, and an empty database."""
        with _folder() as folder:
            server = MariaDBServer(folder / "mariadb", free_port(), secrets.token_hex(16))
            async with _running(server, folder):
                yield server, await asyncio.to_thread(create_mariadb, server)

    @contextlib.asynccontextmanager
    async def rabbitmq(self) -> AsyncIterator[RabbitMQServer]:
        """A broker of its own; ``.url()`` gives its address."""
        with _folder() as folder:
            ports = RabbitMQPorts(amqp=free_port(), epmd=free_port(), distribution=free_port(), tools=free_port())
            server = RabbitMQServer(folder / "rabbitmq", ports, "bench", secrets.token_hex(16))
            async with _running(server, folder):
                yield server


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ticketflow-bench-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        folder.chmod(0o711)
        yield folder


@contextlib.asynccontextmanager
async def _running(server: Server, folder: Path) -> AsyncIterator[None]:
    running = RunningServer(server, folder / f"{server.name}.log")
    try:
        await asyncio.to_thread(running.start)
        yield
    finally:
        await asyncio.to_thread(running.stop)
