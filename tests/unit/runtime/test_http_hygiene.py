"""Slow, rude and broken clients; time-outs; draining."""

import asyncio

import pytest

from tests.support.waiting import wait_until
from tests.unit.runtime.wire import Face, read_answer, request_bytes
from ticketflow.runtime.http import server


async def test_a_request_that_takes_too_long_is_cancelled_and_answered(face: Face) -> None:
    answer = await face.send("GET", "/slow")
    assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "timed_out", "1")
    assert face.finished == ["cancelled"]


async def test_a_client_that_hangs_up_cancels_nothing(face: Face) -> None:
    _reader, writer = await face.open()
    writer.write(request_bytes("GET", "/slow"))
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    face.go_on.set()
    await wait_until(lambda: face.finished == ["done"])


async def test_connections_are_kept_and_requests_may_be_pipelined(face: Face) -> None:
    reader, writer = await face.open()
    writer.write(request_bytes("GET", "/healthz") + request_bytes("GET", "/nothing") + request_bytes("GET", "/orders"))
    assert [(await read_answer(reader)).status for _ in range(3)] == [200, 404, 200]
    writer.close()


async def test_after_a_refused_body_the_next_request_is_not_garbled(face: Face) -> None:
    """Its body is a request by itself, which nobody may take for one."""
    inner = request_bytes("DELETE", "/raw")
    refused = request_bytes("POST", "/orders", inner * 10, {"Idempotency-Key": "k", "Content-Type": "text/plain"})
    reader, writer = await face.open()
    writer.write(refused + request_bytes("GET", "/healthz", headers={"Connection": "close"}))
    assert (await read_answer(reader)).code == "unsupported_media_type"
    async with asyncio.timeout(5):
        rest = await reader.read()
    assert b"204" not in rest.partition(b"\r\n")[0]
    writer.close()


async def test_a_huge_body_is_refused_before_it_is_sent(face: Face) -> None:
    reader, writer = await face.open()
    headers = {"Content-Type": "application/json", "Content-Length": "1000000000", "Idempotency-Key": "k"}
    writer.write(request_bytes("POST", "/orders", headers=headers))
    answer = await read_answer(reader)
    assert (answer.status, answer.code) == (413, "body_too_large")
    writer.close()


async def test_a_chunked_body_is_counted_as_it_comes(face: Face) -> None:
    reader, writer = await face.open()
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", "Idempotency-Key": "k"}
    writer.write(request_bytes("POST", "/orders", headers=headers))
    writer.write(b"200\r\n" + b" " * 512 + b"\r\n" + b"200\r\n" + b" " * 512 + b"\r\n")
    answer = await read_answer(reader)
    assert (answer.status, answer.code) == (413, "body_too_large")
    writer.close()


async def test_a_slow_body_is_cut(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BODY_TIMEOUT_S", 0.1)
    reader, writer = await face.open()
    headers = {"Content-Type": "application/json", "Content-Length": "10", "Idempotency-Key": "k"}
    writer.write(request_bytes("POST", "/orders", headers=headers) + b"{")
    answer = await read_answer(reader)
    assert (answer.status, answer.code) == (408, "body_timed_out")
    writer.close()


async def test_slow_headers_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADERS_TIMEOUT_S", 0.1)
    face = Face()
    await face.start()
    reader, writer = await face.open()
    writer.write(b"GET /healthz HTTP/1.1\r\nHost:")
    async with asyncio.timeout(2):
        assert await reader.read() == b""
    writer.close()
    await face.stop()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: test\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: test\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(200)) + b"\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: test\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /orders HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    ],
)
async def test_what_is_no_http_gets_a_problem_and_is_cut(face: Face, garbage: bytes) -> None:
    reader, writer = await face.open()
    writer.write(garbage)
    answer = await read_answer(reader)
    assert (answer.status, answer.code) == (400, "bad_request")
    async with asyncio.timeout(2):
        assert await reader.read() == b""
    writer.close()
    assert (await face.send("GET", "/healthz")).status == 200


async def test_too_many_connections_are_cut_and_the_others_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 2)
    face = Face()
    await face.start()
    first = await face.open()
    second = await face.open()
    first[1].write(request_bytes("GET", "/healthz"))
    assert (await read_answer(first[0])).status == 200
    third = await face.open()
    with pytest.raises((ConnectionError, IndexError)):
        await read_answer(third[0])
    second[1].write(request_bytes("GET", "/healthz"))
    assert (await read_answer(second[0])).status == 200
    for _reader, writer in (first, second, third):
        writer.close()
    await face.stop()


async def test_draining_lets_requests_end_and_takes_no_new_ones(face: Face) -> None:
    reader, writer = await face.open()
    writer.write(request_bytes("GET", "/slow"))
    idle_reader, idle_writer = await face.open()
    await asyncio.sleep(0.05)
    draining = asyncio.create_task(face.server.drain(5))
    await asyncio.sleep(0.05)
    assert await idle_reader.read() == b""
    with pytest.raises(ConnectionError):
        await face.open()
    face.go_on.set()
    assert (await read_answer(reader)).status == 200
    await draining
    for open_writer in (writer, idle_writer):
        open_writer.close()


async def test_a_drain_ends_at_its_deadline(face: Face) -> None:
    face.server._request_timeout_s = 60
    _reader, writer = await face.open()
    writer.write(request_bytes("GET", "/slow"))
    await asyncio.sleep(0.05)
    async with asyncio.timeout(2):
        await face.server.drain(0.1)
    assert face.finished == ["cancelled"]
    writer.close()
