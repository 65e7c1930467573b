"""What the disk itself does meanwhile: how long a small write takes until it is flushed, some forty times a second.

A sale is flushed six times on its way, one after the other, so that no percentile of it can be better than the disk's.
"""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

EVERY_S = 0.02  # little beside the hundreds a second of a ring at work
BLOCK = bytes(8192)
BLOCKS = 64  # of a file that is there before: a flush of its data is all that is asked for


class Flushes:
    """``took_ms``: of each flush so far."""

    def __init__(self) -> None:
        self.took_ms: list[float] = []


@contextlib.asynccontextmanager
async def flushes(folder: Path) -> AsyncIterator[Flushes]:
    """Measured while entered, on the file system of ``folder``."""
    seen = Flushes()
    with tempfile.TemporaryFile(dir=folder) as file:
        os.write(file.fileno(), BLOCK * BLOCKS)
        os.fsync(file.fileno())
        probing = asyncio.create_task(_probe(file.fileno(), seen))
        try:
            yield seen
        finally:
            probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await probing


async def _probe(fd: int, seen: Flushes) -> None:
    while True:
        seen.took_ms.append(await asyncio.to_thread(_flush, fd, len(seen.took_ms) % BLOCKS))
        await asyncio.sleep(EVERY_S)


def _flush(fd: int, block: int) -> float:
    began = time.perf_counter()
    os.pwrite(fd, BLOCK, block * len(BLOCK))
    os.fdatasync(fd)
    return 1000 * (time.perf_counter() - began)
