"""What the benches measure with."""

import subprocess
import sys
import time
from urllib.parse import urlsplit

import pytest

from bench.cpu import cpu_s, used_s
from bench.http_client import Answer, connect, parsed, post
from tests.support.stub_http import stub_server

BURN = "import os, time\nif os.fork(): os.wait()\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"


def test_cpu_time_counts_a_process_and_its_children_those_that_have_ended_too() -> None:
    me = {"burning": 0}
    with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        me["burning"] = process.pid
        assert process.stdout is not None
        before = {"burning": 0.0}
        process.stdout.readline()  # one of the two has burnt its half second; it may wait for its own end
        until = time.monotonic() + 30
        while (used := used_s(before, cpu_s(me))["burning"]) < 0.45 and time.monotonic() < until:
            pass
        process.kill()
    assert used >= 0.45


def test_a_process_that_is_gone_used_nothing() -> None:
    assert cpu_s({"gone": 2**22 + 1}) == {"gone": 0}


@pytest.mark.parametrize(
    ("bytes_", "answer"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", Answer(200, b"{}")),
        (b"HTTP/1.1 200 OK\r\ncontent-le", None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204, b"")),
        (b"HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", Answer(409, b"{}")),
        (b"HTTP/1.1 409 Conflict\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", None),
    ],
)
def test_an_answer_is_one_when_all_of_it_is_there(bytes_: bytes, answer: Answer | None) -> None:
    assert parsed(bytes_) == answer


async def test_one_connection_asks_and_is_answered_again_and_again() -> None:
    async with stub_server() as stub:
        stub.then(201, {"n": 1}).then(409, {"code": "seat_unavailable"})
        url = urlsplit(stub.url)
        connection = await connect(url.hostname or "", url.port or 0)
        try:
            first = await connection.ask(post("/api/v1/holds", b'{"a":1}', "Idempotency-Key: k\r\n"))
            second = await connection.ask(post("/api/v1/holds", b"{}", ""))
        finally:
            connection.close()
    assert (first.status, first.json()) == (201, {"n": 1})
    assert (second.status, second.json()) == (409, {"code": "seat_unavailable"})
    assert (stub.asked[0].json, stub.asked[0].headers["idempotency-key"]) == ({"a": 1}, "k")


async def test_a_connection_that_is_lost_is_told_to_who_waits() -> None:
    async with stub_server() as stub:
        url = urlsplit(stub.url)
        connection = await connect(url.hostname or "", url.port or 0)
        connection.close()
        with pytest.raises(ConnectionError):
            await connection.ask(post("/", b"", ""))
