"""A client of POST /api/v1/holds: connections that ask, wait for the answer, and ask again; a process of its own.

    python -m bench.holds_load < wishes.json

Reads Wishes as JSON on stdin, writes Told as JSON on stdout. As lean as a client of HTTP can be: it is not what shall
be measured.
"""

import asyncio
import sys
import time
from collections import Counter
from typing import cast

import msgspec

from bench import process
from ticketflow.events import new_id

ANSWER_TIMEOUT_S = 30.0


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """``seats``: of each request, in the order in which they are asked; ``seconds``: until when new ones are asked, if
    there are that many."""

    port: int
    connections: int
    event_id: str
    seats: list[list[str]]
    seconds: float


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """One request: which of the wishes, and when it was asked and answered, in seconds from the start."""

    number: int
    asked_s: float
    answered_s: float
    status: int


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """``took_s``: from the first request to the last answer."""

    took_s: float
    statuses: dict[int, int]
    answers: list[Answered]


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._buffer = b""
        self._number = 0
        self._asked_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its type

    def ask(self) -> None:
        number, request = self._load.next_request()
        if request is None:
            self._load.leave()
            return
        self._number = number
        self._asked_s = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data if self._buffer else data
        head_end = buffer.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = buffer[:head_end].lower()
        begin = head.index(b"content-length:") + 15
        end = head.find(b"\r\n", begin)
        length = int(head[begin : end if end > 0 else None])
        if len(buffer) < head_end + 4 + length:
            return
        self._buffer = b""
        self._load.answered(self._number, self._asked_s, int(buffer[9:12]))
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(exc)


class Load:
    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self._next = 0
        self._began = self._ends = 0.0
        self._here = wishes.connections
        self._answers: list[Answered] = []
        self._over = asyncio.get_running_loop().create_future()
        self._event = wishes.event_id.encode()

    async def run(self) -> Told:
        loop = asyncio.get_running_loop()
        clients = [
            (await loop.create_connection(lambda: Client(self), "127.0.0.1", self._wishes.port))[1]
            for _ in range(self._wishes.connections)
        ]
        self._began = time.perf_counter()
        self._ends = self._began + self._wishes.seconds
        for client in clients:
            client.ask()
        async with asyncio.timeout(self._wishes.seconds + ANSWER_TIMEOUT_S):
            await self._over
        took_s = max(one.answered_s for one in self._answers)
        return Told(took_s=took_s, statuses=Counter(one.status for one in self._answers), answers=self._answers)

    def next_request(self) -> tuple[int, bytes | None]:
        """(number of the wish, its request); None when there are no more, or the time is over."""
        number = self._next
        if number == len(self._wishes.seats) or time.perf_counter() >= self._ends:
            return number, None
        self._next += 1
        seats = '","'.join(self._wishes.seats[number]).encode()
        body = b'{"event_id":"%b","buyer_id":"buyer-0190000000000000","seats":["%b"]}' % (self._event, seats)
        return number, (
            b"POST /api/v1/holds HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nIdempotency-Key: %b\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (new_id().encode(), len(body), body)
        )

    def answered(self, number: int, asked_s: float, status: int) -> None:
        self._answers.append(Answered(number, asked_s - self._began, time.perf_counter() - self._began, status))

    def leave(self) -> None:
        self._here -= 1
        if self._here == 0:
            self._over.set_result(None)

    def lost(self, error: Exception | None) -> None:
        if not self._over.done():
            self._over.set_exception(error or ConnectionError("the server closed a connection"))


async def main() -> None:
    wishes = msgspec.json.decode(sys.stdin.buffer.read(), type=Wishes)
    sys.stdout.buffer.write(msgspec.json.encode(await Load(wishes).run()))


if __name__ == "__main__":
    process.run(main())
