"""The bytes of one connection: versions, pipelines, chunks, wishes for other protocols, clients that leave."""

import asyncio

import pytest

from tests.support.waiting import wait_until
from tests.unit.runtime.wire import ID, Face, read_answer, request_bytes
from ticketflow.runtime.http import Reply, Request
from ticketflow.runtime.http.outgoing import Outgoing, to_bytes

ORDER = {"buyer": "b", "lines": [{"seat": "A1"}]}
KEY = {"Idempotency-Key": "k"}


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Until the other end closes."""
    async with asyncio.timeout(10):
        return await reader.read()


async def test_a_connection_is_closed_when_the_client_asks_for_it(face: Face) -> None:
    reader, writer = await face.open()
    writer.write(request_bytes("GET", "/healthz", headers={"Connection": "close"}))
    answer = await read_answer(reader)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert await rest_of(reader) == b""
    writer.close()


async def test_a_client_of_http_1_0_is_answered_and_let_go(face: Face) -> None:
    reader, writer = await face.open()
    writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
    text = await rest_of(reader)
    assert text.startswith(b"HTTP/1.0 200 OK\r\n")
    assert text.endswith(b'{"status":"alive"}')
    writer.close()


async def test_a_client_of_http_1_0_may_ask_to_be_kept(face: Face) -> None:
    reader, writer = await face.open()
    for _ in range(2):
        writer.write(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await read_answer(reader)).headers["connection"] == "keep-alive"
    writer.close()


async def test_a_long_pipeline_is_answered_in_order(face: Face) -> None:
    """More than are taken in at a time, in pieces that end anywhere, with bodies and without."""
    reader, writer = await face.open()
    one = (
        request_bytes("POST", "/orders", ORDER, KEY)
        + request_bytes("GET", "/nothing")
        + request_bytes("GET", "/orders")
    )
    whole, piece = one * 50, 1013

    async def write() -> None:
        for start in range(0, len(whole), piece):
            writer.write(whole[start : start + piece])
            await writer.drain()

    writing = asyncio.create_task(write())
    statuses = [(await read_answer(reader)).status for _ in range(150)]
    await writing
    assert statuses == [201, 404, 200] * 50
    writer.close()


async def test_a_chunked_body_in_pieces_is_one_body(face: Face) -> None:
    reader, writer = await face.open()
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **KEY}
    body = b'{"buyer":"b","lines":[]}'
    writer.write(request_bytes("POST", "/orders", headers=headers))
    for byte in body:
        writer.write(b"1\r\n" + bytes([byte]) + b"\r\n")
        await asyncio.sleep(0)
    writer.write(b"0\r\n\r\n" + request_bytes("GET", "/healthz"))
    answer = await read_answer(reader)
    assert (answer.status, answer.content) == (201, body)
    assert (await read_answer(reader)).status == 200
    writer.close()


async def test_a_badly_framed_body_is_refused_and_the_connection_cut(face: Face) -> None:
    reader, writer = await face.open()
    headers = {"Content-Type": "application/json", "Transfer-Encoding": "chunked", **KEY}
    writer.write(request_bytes("POST", "/orders", headers=headers) + b"zz\r\n")
    answer = await read_answer(reader)
    assert (answer.status, answer.code) == (400, "bad_request")
    assert b"HTTP/1.1 2" not in await rest_of(reader)
    writer.close()


async def test_a_body_for_a_route_that_takes_none_is_read_and_dropped(face: Face) -> None:
    reader, writer = await face.open()
    writer.write(request_bytes("GET", "/orders", b"x" * 900) + request_bytes("GET", "/healthz"))
    assert [(await read_answer(reader)).status for _ in range(2)] == [200, 200]
    writer.write(request_bytes("GET", "/orders", headers={"Content-Length": "4"}))
    await asyncio.sleep(0.05)
    writer.write(b"late" + request_bytes("GET", "/healthz"))
    assert [(await read_answer(reader)).status for _ in range(2)] == [200, 200]
    writer.close()


async def test_a_wish_for_another_protocol_is_declined_by_answering(face: Face) -> None:
    reader, writer = await face.open()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket"}
    writer.write(request_bytes("GET", "/healthz", headers=upgrade) + request_bytes("GET", "/nothing"))
    assert [(await read_answer(reader)).status for _ in range(2)] == [200, 404]
    writer.write(request_bytes("GET", "/healthz"))
    assert (await read_answer(reader)).status == 200
    writer.close()


async def test_a_client_that_leaves_in_the_middle_of_its_body_is_forgotten(face: Face) -> None:
    _reader, writer = await face.open()
    writer.write(
        request_bytes("POST", "/orders", headers={"Content-Type": "application/json", "Content-Length": "9", **KEY})
    )
    await wait_until(lambda: len(connections(face)) == 1)
    writer.transport.abort()
    await wait_until(lambda: connections(face) == [])
    assert face.seen == []


async def test_a_client_that_leaves_before_its_answer_is_forgotten(face: Face) -> None:
    _reader, writer = await face.open()
    writer.write(request_bytes("GET", "/slow"))
    await wait_until(lambda: len(connections(face)) == 1)
    writer.transport.abort()
    face.go_on.set()
    await wait_until(lambda: connections(face) == [])


async def test_answers_without_a_body_say_so_as_http_wants_it(face: Face) -> None:
    reader, writer = await face.open()
    writer.write(request_bytes("DELETE", "/raw") + request_bytes("HEAD", "/healthz") + request_bytes("GET", "/healthz"))
    nothing = await read_answer(reader)
    assert (nothing.status, "content-length" in nothing.headers, "content-type" in nothing.headers) == (
        204,
        False,
        False,
    )
    head = await read_answer(reader, head=True)
    whole = await read_answer(reader)
    assert head.headers["content-length"] == whole.headers["content-length"] == str(len(whole.content))
    assert whole.headers["date"].endswith("GMT")
    writer.close()


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\x00", "a\x7f"])
def test_no_header_can_smuggle_in_another(value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        to_bytes(Outgoing(200, b"", {"Location": value}), version=(1, 1), head=False, keep_alive=True)


def test_a_header_may_hold_what_is_no_ascii() -> None:
    text = to_bytes(Outgoing(200, b"", {"X-Name": "Zoë\t1"}), version=(1, 1), head=False, keep_alive=True)
    assert "X-Name: Zoë\t1\r\n".encode() in text


async def test_an_answer_that_cannot_be_sent_cuts_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def smuggle(_request: Request) -> Reply:
        return Reply(200, {}, {"X-Id": f"{ID}\r\nX-More: 1"})

    face = Face()
    monkeypatch.setattr(face, "_slow", smuggle)
    await face.start()
    reader, writer = await face.open()
    writer.write(request_bytes("GET", "/slow") + request_bytes("GET", "/healthz"))
    assert await rest_of(reader) == b""
    writer.close()
    await face.stop()


def connections(face: Face) -> list[object]:
    factory = face.server._factory
    assert factory is not None
    return list(factory.connections)
