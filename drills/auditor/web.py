"""HTTP to the members of a tier, all at once; who does not answer in time is missing from the result."""

import asyncio
from collections.abc import Mapping

import aiohttp

ANSWER_S = 1.5


class Web:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def text(self, url: str, headers: Mapping[str, str] | None = None, *, any_status: bool = False) -> str | None:
        """None when there was no answer, or not the one that was asked for."""
        try:
            async with asyncio.timeout(ANSWER_S), self._session.get(url, headers=headers) as response:
                return await response.text() if response.status == 200 or any_status else None
        except (aiohttp.ClientError, TimeoutError, OSError, UnicodeDecodeError):
            return None

    async def texts(self, urls: Mapping[str, str], path: str, *, any_status: bool = False) -> dict[str, str]:
        """By name of the member."""
        answers = await asyncio.gather(*(self.text(url + path, any_status=any_status) for url in urls.values()))
        return {name: text for name, text in zip(urls, answers, strict=True) if text is not None}
