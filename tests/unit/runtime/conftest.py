"""Under uvloop, as in production; an HTTP server on a free port, and a client that knows no library's niceties."""

from asyncio import AbstractEventLoop
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from tests.unit.runtime.wire import Face


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def face() -> AsyncIterator[Face]:
    face = Face()
    await face.start()
    yield face
    await face.stop()
