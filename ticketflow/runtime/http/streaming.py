"""An answer that is made while it is sent: one chunk in memory at a time, whatever its length.

The first chunk is made before the headers are sent: what goes wrong until then is answered as a problem, like any other
request. What goes wrong later cuts the connection, so that HTTP's own framing tells the client that something is
missing: a cut answer never looks like a whole one. The request's time-out is for the first chunk; each of the others
has its own.
"""

import asyncio
from collections.abc import AsyncGenerator

from aiohttp import web

from ticketflow.runtime.http.route import Reply
from ticketflow.runtime.log import get_logger

CHUNK_TIMEOUT_S = 30.0  # to make one, and for the client to take one: a failover of the store lies within
STREAM_TIMEOUT_S = 3600.0  # of the whole: nobody may keep us for ever by reading slowly

log = get_logger("http")


class StreamedResponse(web.StreamResponse):
    """Made by ``begun``; whoever has one must ``send`` it, which ends the generator."""

    def __init__(self, reply: Reply, chunks: AsyncGenerator[bytes, None], first: bytes | None) -> None:
        super().__init__(status=reply.status, headers=dict(reply.headers))
        self._chunks = chunks
        self._first = first

    @classmethod
    async def begun(cls, reply: Reply, chunks: AsyncGenerator[bytes, None], *, head: bool) -> "StreamedResponse":
        """``head``: only the headers are wanted, and nothing is made. Raises whatever the generator does."""
        return cls(reply, chunks, None if head else await anext(chunks, None))

    async def send(self, request: web.BaseRequest) -> None:
        """Raises nothing but cancellation."""
        try:
            async with asyncio.timeout(STREAM_TIMEOUT_S):
                await self.prepare(request)
                chunk = self._first
                while chunk is not None:
                    async with asyncio.timeout(CHUNK_TIMEOUT_S):
                        await self.write(chunk)
                        chunk = await anext(self._chunks, None)
                await self.write_eof()
        except ConnectionError:
            log.info("stream_left", path=request.path)
        except Exception as error:
            log.warning("stream_cut", path=request.path, exc_info=error)
            if request.transport is not None:
                request.transport.abort()  # no last chunk: the client must not take it for the end
        finally:
            await self._chunks.aclose()
