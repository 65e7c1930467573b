"""An HTTP server that answers what it was told to, and remembers what it was asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web


@dataclass(frozen=True)
class Asked:
    """``query``: as it came, decoded."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


@dataclass
class Stub:
    """``answers`` are given in turn: (status, body, headers); after them ``otherwise``."""

    url: str = ""
    answers: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    otherwise: tuple[int, Any] = (500, b"nothing was expected any more")
    asked: list[Asked] = field(default_factory=list)

    def then(self, status: int, body: Any, headers: dict[str, str] | None = None) -> "Stub":
        self.answers.append((status, body, headers or {}))
        return self

    async def answer(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.asked.append(Asked(request.method, request.path, dict(request.query), headers, await request.read()))
        status, body, more = self.answers.pop(0) if self.answers else (*self.otherwise, {})
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return web.Response(status=status, body=content, content_type="application/json", headers=more)


@asynccontextmanager
async def stub_server(port: int = 0) -> AsyncIterator[Stub]:
    stub = Stub()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stub.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield stub
    finally:
        await runner.cleanup()
