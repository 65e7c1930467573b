"""Readers of seat maps: as many as are asked for, each looking again and again, and what they were given."""

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

Check = Callable[[bytes, datetime], None]
CHECKED_EVERY = 40  # bodies that are looked into: to look into all would be a measurement of the reader


@dataclass(frozen=True)
class Manner:
    """How a reader asks. ``conditional``: with the ETag of what he was given last."""

    name: str
    gzip: bool = True
    conditional: bool = False


@dataclass
class Reading:
    """``answers``: how many of each status; ``seconds``: how long they read."""

    answers: Counter[int] = field(default_factory=Counter)
    bytes_read: int = 0
    seconds: float = 0.0

    @property
    def per_s(self) -> float:
        return self.answers.total() / self.seconds


async def read(
    url: str, manners: Sequence[Manner], for_s: float, check: Check, *, pause_s: float = 0.0, least: int = 0
) -> Reading:
    """One reader for each of ``manners``, for ``for_s`` seconds, and until there are ``least`` answers."""
    reading = Reading()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as http:
        began = time.perf_counter()

        def over() -> bool:
            return time.perf_counter() - began >= for_s and reading.answers.total() >= least

        await asyncio.gather(
            *(_read(http, url, manner, over, check, reading, pause_s, start) for start, manner in enumerate(manners))
        )
        reading.seconds = time.perf_counter() - began
    return reading


async def _read(
    http: aiohttp.ClientSession,
    url: str,
    manner: Manner,
    over: Callable[[], bool],
    check: Check,
    reading: Reading,
    pause_s: float,
    looks: int,
) -> None:
    headers = {"Accept-Encoding": "gzip" if manner.gzip else "identity"}
    while not over():
        asked = datetime.now(UTC)
        async with http.get(url, headers=headers) as response:
            body = await response.read()
            status, packed, etag = response.status, "Content-Encoding" in response.headers, response.headers.get("ETag")
        assert status in (200, 304), f"{status}: {body[:200]!r}"
        assert (status == 304) == (not body)
        reading.answers[status] += 1
        reading.bytes_read += len(body)
        looks += 1
        if status == 200 and looks % CHECKED_EVERY == 0:
            check(gzip.decompress(body) if packed else body, asked)
        if manner.conditional and etag is not None:
            headers["If-None-Match"] = etag
        if pause_s:
            await asyncio.sleep(pause_s)
