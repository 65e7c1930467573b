"""A shop on a running stack, which every test hands on whole."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.buyer import Shop
from tests.support.ring import Ring


@pytest.fixture
async def shop(ring: Ring) -> AsyncIterator[Shop]:
    await ring.ready()
    connector = aiohttp.TCPConnector(limit=0)  # every buyer may be under way at once
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15), connector=connector) as http:
        yield Shop(http, ring.base_url, ring.admin_key)
