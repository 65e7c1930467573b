"""A request as aiohttp's parser gives it: no more objects than that one answer needs."""

import asyncio
from typing import cast

from aiohttp import StreamReader, web
from aiohttp.helpers import set_exception
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.web_protocol import RequestHandler

from ticketflow.runtime.problem import Problem


class Incoming:
    """``path``: as it was written. ``headers``: case-insensitive. ``content``: the body, as it comes."""

    __slots__ = ("_connection", "content", "headers", "message", "method", "path")

    def __init__(self, message: RawRequestMessage, content: StreamReader, connection: RequestHandler) -> None:
        self._connection = connection
        self.message = message
        self.content = content
        self.method = message.method
        self.headers = message.headers
        self.path = message.url.raw_path

    @property
    def query(self) -> str:
        """As it was written."""
        return self.message.url.raw_query_string

    async def read(self, bytes_max: int) -> bytes:
        """The body. Raises Problem 413 as soon as it is longer, 400 when its framing is broken."""
        length = self.headers.get("Content-Length")
        if length is not None and int(length) > bytes_max:
            raise _too_large(bytes_max)
        content = self.content
        try:
            if content.is_eof() and not content.at_eof():  # it came with the headers, as bodies of this size do
                chunk = content.read_nowait(-1)
                if len(chunk) > bytes_max:
                    raise _too_large(bytes_max)
                return chunk
            whole = bytearray()
            while chunk := await content.readany():
                whole += chunk
                if len(whole) > bytes_max:
                    raise _too_large(bytes_max)
            return bytes(whole)
        except web.RequestPayloadError as error:
            raise Problem(400, "bad_request", "the body is cut short or badly framed") from error

    def for_stream(self) -> web.BaseRequest:
        """What aiohttp needs to send an answer piece by piece."""
        connection, loop = self._connection, self._connection._loop
        writer, task = StreamWriter(connection, loop), connection._task_handler
        return web.BaseRequest(self.message, self.content, connection, writer, cast("asyncio.Task[None]", task), loop)

    def _cancel(self, error: BaseException) -> None:
        """For aiohttp: the client is gone, no more of the body comes."""
        set_exception(self.content, error)


def _too_large(bytes_max: int) -> Problem:
    return Problem(413, "body_too_large", f"a body has {bytes_max} bytes at most")
