"""Between a client and a MariaDB: answers a statement with an error number, done or not done, or with silence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

QUERY = b"\x03"
BEGIN = b"BEGIN;"  # comes along with a transaction's first statement
LOST = 2013  # the client library's own number for a connection that ends before the answer


@dataclass
class Fault:
    """The next ``count`` statements that begin with ``statement`` are answered by error ``code``. ``done``: whether the
    server has carried them out all the same."""

    statement: str
    code: int
    done: bool
    count: int = 1


class FaultyMariaDB:
    """On ``port``, before the server at ``target_port``."""

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.fault: Fault | None = None
        self._target_port = target_port
        self._links: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target_port)
        self._links |= {writer, back}
        swallow = asyncio.Event()  # the server's answer does not reach the client
        answers = asyncio.create_task(self._answers(there, writer, swallow))
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(4)
                packet = await reader.readexactly(int.from_bytes(head[:3], "little"))
                fault = self._fault_for(packet)
                if fault is None or fault.done:
                    if fault is not None:
                        swallow.set()
                    back.write(head + packet)
                if fault is not None:
                    await asyncio.sleep(0.2 if fault.done else 0)  # the server carries it out
                    if fault.code == LOST:
                        break
                    writer.write(_error(fault.code))
                    swallow.clear()
        answers.cancel()
        for link in (writer, back):
            link.transport.abort()

    def _fault_for(self, packet: bytes) -> Fault | None:
        fault = self.fault
        if fault is None or not packet.removeprefix(QUERY).removeprefix(BEGIN).startswith(fault.statement.encode()):
            return None
        fault.count -= 1
        if fault.count == 0:
            self.fault = None
        return fault

    async def _answers(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, swallow: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await there.read(65536):
                if not swallow.is_set():
                    writer.write(data)
        writer.transport.abort()

    def close(self) -> None:
        for link in self._links:
            link.transport.abort()


def _error(code: int) -> bytes:
    body = b"\xff" + code.to_bytes(2, "little") + b"#HY000" + f"error {code} of the test".encode()
    return len(body).to_bytes(3, "little") + b"\x01" + body


@asynccontextmanager
async def faulty_mariadb(target_port: int) -> AsyncIterator[FaultyMariaDB]:
    faulty = FaultyMariaDB(target_port)
    server = await asyncio.start_server(faulty.serve, "127.0.0.1", 0)
    faulty.port = server.sockets[0].getsockname()[1]
    try:
        yield faulty
    finally:
        server.close()
        faulty.close()
        await asyncio.sleep(0)
