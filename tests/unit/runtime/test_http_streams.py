"""Answers that are made while they are sent."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from tests.support.waiting import wait_until
from tests.unit.runtime.wire import ADMIN_KEY, Answer, read_answer, request_bytes
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.health import Health
from ticketflow.runtime.http import HttpServer, Problem, Reply, Request, Route, streaming
from ticketflow.runtime.http.openapi import document

CHUNK = b"x" * 65_536


class Streams:
    """``made``: chunks that were made; ``ended``: how generators ended."""

    def __init__(self) -> None:
        self.made = 0
        self.ended: list[str] = []
        self.routes = [
            Route(method="GET", path="/some", handler=self._some, summary="Some", media="text/csv"),
            Route(method="GET", path="/none", handler=self._none, summary="None"),
            Route(method="GET", path="/endless", handler=self._endless, summary="Endless"),
            Route(method="GET", path="/stuck", handler=self._stuck, summary="Stuck"),
            Route(method="GET", path="/breaks/{when}", handler=self._breaks, summary="Breaks"),
        ]
        self.server = HttpServer(
            self.routes,
            title="Test",
            version="1",
            host="127.0.0.1",
            port=0,
            admin_key=ADMIN_KEY,
            health=Health(),
            request_timeout_s=0.5,
        )

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    async def get(self, path: str) -> Answer:
        reader, writer = await self.open()
        try:
            writer.write(request_bytes("GET", path))
            return await read_chunked(reader)
        finally:
            writer.close()

    async def _some(self, _request: Request) -> Reply:
        async def chunks() -> AsyncGenerator[bytes, None]:
            try:
                for text in (b"one,", b"two,", b"three"):
                    self.made += 1
                    yield text
            finally:
                self.ended.append("some")

        return Reply(200, chunks(), {"Content-Type": "text/csv"})

    async def _none(self, _request: Request) -> Reply:
        async def chunks() -> AsyncGenerator[bytes, None]:
            for text in tuple[bytes, ...]():
                yield text

        return Reply(200, chunks())

    async def _endless(self, _request: Request) -> Reply:
        async def chunks() -> AsyncGenerator[bytes, None]:
            try:
                while True:
                    self.made += 1
                    yield CHUNK
            finally:
                self.ended.append("endless")

        return Reply(200, chunks())

    async def _stuck(self, _request: Request) -> Reply:
        async def chunks() -> AsyncGenerator[bytes, None]:
            yield b"begun"
            await asyncio.Event().wait()

        return Reply(200, chunks())

    async def _breaks(self, request: Request) -> Reply:
        async def chunks() -> AsyncGenerator[bytes, None]:
            if request.path["when"] == "at-once":
                raise Unavailable("no server")
            if request.path["when"] == "refused":
                raise Problem(429, "busy", "later", retry_after_s=5)
            yield b"begun"
            raise Unavailable("no server")

        return Reply(200, chunks())


@pytest.fixture
async def streams() -> AsyncIterator[Streams]:
    opened = Streams()
    await opened.server.start()
    yield opened
    await opened.server.drain(0.2)


async def read_chunked(reader: asyncio.StreamReader) -> Answer:
    """Raises IncompleteReadError when the answer is cut short."""
    async with asyncio.timeout(10):
        answer = await read_answer(reader)
        if "transfer-encoding" not in answer.headers:
            return answer
        content = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            content += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return Answer(answer.status, answer.headers, content)


async def test_a_stream_arrives_whole_and_the_connection_goes_on(streams: Streams) -> None:
    reader, writer = await streams.open()
    writer.write(request_bytes("GET", "/some") + request_bytes("GET", "/none") + request_bytes("GET", "/healthz"))
    answer = await read_chunked(reader)
    assert (answer.status, answer.content) == (200, b"one,two,three")
    assert answer.headers["content-type"] == "text/csv"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["x-correlation-id"]
    assert (await read_chunked(reader)).content == b""
    assert (await read_answer(reader)).status == 200
    assert streams.ended == ["some"]
    writer.close()


async def test_head_makes_nothing(streams: Streams) -> None:
    reader, writer = await streams.open()
    writer.write(request_bytes("HEAD", "/some") + request_bytes("GET", "/healthz"))
    assert (await read_answer(reader, head=True)).headers["content-type"] == "text/csv"
    assert (await read_answer(reader)).json == {"status": "alive"}
    assert streams.made == 0
    writer.close()


@pytest.mark.parametrize(("when", "status", "code"), [("at-once", 503, "store_unavailable"), ("refused", 429, "busy")])
async def test_what_goes_wrong_before_the_first_chunk_is_a_problem(
    streams: Streams, when: str, status: int, code: str
) -> None:
    answer = await streams.get(f"/breaks/{when}")
    assert (answer.status, answer.code) == (status, code)


async def test_what_goes_wrong_later_never_looks_like_the_end(streams: Streams) -> None:
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await streams.get("/breaks/later")
    assert (await streams.get("/some")).content == b"one,two,three"


async def test_a_chunk_that_is_not_made_in_time_cuts_the_stream(
    streams: Streams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "CHUNK_TIMEOUT_S", 0.1)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await streams.get("/stuck")


async def test_a_stream_may_take_longer_than_a_request(streams: Streams) -> None:
    """0.5 s here; it is read until more than that has passed."""
    reader, writer = await streams.open()
    writer.write(request_bytes("GET", "/endless"))
    until = asyncio.get_running_loop().time() + 0.7
    while asyncio.get_running_loop().time() < until:
        assert await reader.read(65_536)
    writer.transport.abort()
    await wait_until(lambda: streams.ended == ["endless"])


async def test_a_client_that_does_not_read_holds_the_maker_back(streams: Streams) -> None:
    """Chunks fill the sockets' buffers, and then nothing is made until the client is cut."""
    reader, writer = await streams.open()
    writer.write(request_bytes("GET", "/endless"))
    await read_answer(reader)

    async def stands_still() -> bool:
        before = streams.made
        await asyncio.sleep(0.3)
        return streams.made == before

    await wait_until(stands_still)
    assert streams.made * len(CHUNK) < 64 * 2**20
    assert streams.ended == []
    writer.transport.abort()
    await wait_until(lambda: streams.ended == ["endless"])


async def test_a_client_that_never_reads_is_cut(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "CHUNK_TIMEOUT_S", 0.3)
    _reader, writer = await streams.open()
    writer.write(request_bytes("GET", "/endless"))
    await wait_until(lambda: streams.ended == ["endless"])
    writer.close()


async def test_draining_ends_streams(streams: Streams) -> None:
    reader, writer = await streams.open()
    writer.write(request_bytes("GET", "/endless"))
    await read_answer(reader)
    await streams.server.drain(0.1)
    await wait_until(lambda: streams.ended == ["endless"])
    writer.close()


def test_the_document_names_the_type(streams: Streams) -> None:
    answers = document(streams.routes, title="t", version="1")["paths"]["/some"]["get"]["responses"]
    assert answers["200"]["content"] == {"text/csv": {"schema": {"type": "string"}}}
