"""An HTTP server with a few routes, and a client that writes and reads bytes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.health import Health
from ticketflow.runtime.http import HttpServer, Problem, Reply, Request, Route

ID = "01890a5d-ac96-774b-bcce-b302099a8057"
ADMIN_KEY = "the-admin-key"
BODY_BYTES_MAX = 1000
LONG_BYTES_MAX = 5000


class Line(msgspec.Struct, forbid_unknown_fields=True):
    seat: str
    quantity: int = 1


class Order(msgspec.Struct, forbid_unknown_fields=True):
    buyer: str
    lines: list[Line]


class Page(msgspec.Struct, forbid_unknown_fields=True):
    limit: int = 10
    after: str | None = None


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.content)

    @property
    def code(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        assert self.json["status"] == self.status
        assert self.json["correlation_id"] == self.headers["x-correlation-id"]
        return str(self.json["code"])


async def read_answer(reader: asyncio.StreamReader, *, head: bool = False) -> Answer:
    async with asyncio.timeout(10):
        status_line = await reader.readline()
        headers = {}
        while (line := await reader.readline()).strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        length = 0 if head else int(headers.get("content-length", "0"))
        return Answer(int(status_line.split()[1]), headers, await reader.readexactly(length))


@dataclass
class Face:
    """``seen`` collects the requests that reached a handler."""

    seen: list[Request] = field(default_factory=list)
    health: Health = field(default_factory=Health)
    finished: list[str] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        faults = {
            "bug": ZeroDivisionError("secret detail"),
            "unavailable": Unavailable("no server"),
            "indefinite": Indefinite("no answer"),
            "refused": Problem(409, "seat_unavailable", "taken", extra={"seats": ["A1"], "code": "no"}),
        }

        async def fail(request: Request) -> Reply:
            raise faults[request.path["how"]]

        routes = [
            Route(
                method="POST",
                path="/orders",
                handler=self._order,
                summary="Order",
                body=Order,
                response=Order,
                status=201,
                idempotency_key=True,
                problems=("seat_unavailable",),
                tags=("orders",),
            ),
            Route(method="GET", path="/orders/{order_id}", handler=self._seen, summary="One", response=Order),
            Route(method="GET", path="/orders/latest", handler=self._seen, summary="Latest", response=Order),
            Route(method="GET", path="/orders", handler=self._seen, summary="Many", query=Page, response=list[Order]),
            Route(method="PUT", path="/venues", handler=self._seen, summary="Admin", body=Line, admin=True),
            Route(method="GET", path="/fail/{how}", handler=fail, summary="Fail"),
            Route(method="GET", path="/slow", handler=self._slow, summary="Slow"),
            Route(method="DELETE", path="/raw", handler=self._raw, summary="Raw"),
            Route(method="POST", path="/bytes", handler=self._seen, summary="Bytes", body=bytes),
            Route(
                method="POST",
                path="/long",
                handler=self._seen,
                summary="Longer",
                body=bytes,
                body_bytes_max=LONG_BYTES_MAX,
            ),
        ]
        self.server = HttpServer(
            routes,
            title="Test",
            version="1",
            host="127.0.0.1",
            port=0,
            admin_key=ADMIN_KEY,
            health=self.health,
            body_bytes_max=BODY_BYTES_MAX,
            request_timeout_s=0.5,
        )
        await self.server.start()
        self.port = self.server.port

    async def stop(self) -> None:
        await self.server.drain(0.2)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def send(
        self, method: str, path: str, content: bytes | Any | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own; what is not bytes is sent as JSON."""
        reader, writer = await self.open()
        try:
            writer.write(request_bytes(method, path, content, headers))
            return await read_answer(reader, head=method == "HEAD")
        finally:
            writer.close()
            await writer.wait_closed()

    async def order(self, content: Any, **headers: str) -> Answer:
        return await self.send("POST", "/orders", content, {"Idempotency-Key": "k", **headers})

    async def _seen(self, request: Request) -> Reply:
        self.seen.append(request)
        return Reply(200, {"limit": getattr(request.query, "limit", None)})

    async def _order(self, request: Request) -> Reply:
        self.seen.append(request)
        return Reply(201, request.body, {"Location": f"/orders/{ID}"})

    async def _slow(self, _request: Request) -> Reply:
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.finished.append("cancelled")
            raise
        self.finished.append("done")
        return Reply(200, {})

    async def _raw(self, _request: Request) -> Reply:
        return Reply(204)


def request_bytes(
    method: str, path: str, content: bytes | Any | None = None, headers: Mapping[str, str] | None = None
) -> bytes:
    given = {"Host": "test", **(headers or {})}
    body = b""
    if content is not None:
        body = content if isinstance(content, bytes) else msgspec.json.encode(content)
        given = {"Content-Type": "application/json", "Content-Length": str(len(body)), **given}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body
