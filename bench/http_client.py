"""A lean HTTP/1.1 client for load: one connection, one request at a time, answers with Content-Length or chunks.

It knows no more than our own front needs, and costs some 40 us a request: what it costs is told with every figure.
"""

import asyncio
from typing import NamedTuple, cast

import msgspec

ANSWER_S = 30.0


class Answer(NamedTuple):
    status: int
    body: bytes

    def json(self) -> dict[str, object]:
        decoded: dict[str, object] = msgspec.json.decode(self.body)
        return decoded


class Connection(asyncio.Protocol):
    """Opened by ``connect``. A connection that is lost while an answer is awaited raises ConnectionError there."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._data = b""

    async def ask(self, request: bytes) -> Answer:
        """``request``: all of its bytes."""
        assert self._transport is not None
        if self._transport.is_closing():
            raise ConnectionError("the connection is closed")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        async with asyncio.timeout(ANSWER_S):
            return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- for the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so

    def data_received(self, data: bytes) -> None:
        self._data += data
        answer = parsed(self._data)
        if answer is not None and self._waiting is not None and not self._waiting.done():
            self._data = b""
            self._waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError(f"lost before the answer: {exc}"))


async def connect(host: str, port: int) -> Connection:
    _, protocol = await asyncio.get_running_loop().create_connection(Connection, host, port)
    return protocol


def post(path: str, body: bytes, headers: str) -> bytes:
    """A POST of JSON. ``headers``: lines that each end in CRLF."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def parsed(data: bytes) -> Answer | None:
    """The answer, when all of it is there."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head, rest = data[:end].lower(), data[end + 4 :]
    status = int(data[9:12])
    at = head.find(b"\r\ncontent-length:")
    if at >= 0:
        size = int(head[at + 17 :].partition(b"\r\n")[0])
        return Answer(status, rest[:size]) if len(rest) >= size else None
    if b"\r\ntransfer-encoding: chunked" in head:
        return Answer(status, _joined(rest)) if rest.endswith(b"0\r\n\r\n") else None
    return Answer(status, b"")


def _joined(chunks: bytes) -> bytes:
    body = bytearray()
    while chunks:
        size, _, chunks = chunks.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        body += chunks[:length]
        chunks = chunks[length + 2 :]
    return bytes(body)
