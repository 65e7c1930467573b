"""A provider of each test's own."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.integration.sandbox.process import ProviderProcess


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[ProviderProcess]:
    process = ProviderProcess(tmp_path)
    process.start()
    await process.ready()
    yield process
    process.kill()


@pytest.fixture
async def bank(provider: ProviderProcess) -> AsyncIterator[aiohttp.ClientSession]:
    async with provider.client() as client:
        yield client
