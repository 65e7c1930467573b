"""The whole portal as a service in this process, and a client of it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from portal import service as wiring
from portal.settings import PortalSettings
from tests.support.databases import Database
from tests.support.ports import free_port
from tests.support.waiting import wait_until
from ticketflow.runtime.address import Address
from ticketflow.runtime.service import Service
from ticketflow.runtime.settings import Secret

TOKEN_KEYS = ("new-key", "old-key")


class Client:
    def __init__(self, base: str, session: aiohttp.ClientSession) -> None:
        self._base = base
        self._session = session

    async def get(self, path: str, query: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        async with self._session.get(self._base + path, params=query) as response:
            self.headers = response.headers
            return response.status, await response.json(content_type=None)

    async def page(self, path: str, method: str = "GET") -> tuple[int, str]:
        async with self._session.request(method, self._base + path) as response:
            self.headers = response.headers
            return response.status, await response.text()

    async def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        async with self._session.request(method, self._base + path, json=body, headers=headers) as response:
            content = await response.read()
            return response.status, await response.json(content_type=None) if content else None

    async def ready(self) -> bool:
        return (await self.get("/readyz"))[0] == 200


@asynccontextmanager
async def serving(database: Database, amqp_url: str, **more: Any) -> AsyncIterator[Client]:
    """With a reservation that is not there: nothing is staged long enough to matter. ``more``: settings."""
    settings = PortalSettings(
        database_dsn=Secret(database.dsn),
        http_port=free_port(),
        amqp_url=Secret(amqp_url),
        reservation_feed=(Address("127.0.0.1", 1),),
        admin_key=Secret("admin"),
        **more,
    )
    service = Service("portal", "portal")
    await wiring.serve(service, settings)
    try:
        async with aiohttp.ClientSession() as session:
            client = Client(f"http://127.0.0.1:{settings.http_port}", session)
            await wait_until(client.ready)
            yield client
    finally:
        await service.drain(5)
