"""Requests to a provider: their one deadline, and answers that are no answers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from billing.providers.http import ANSWER_BYTES_MAX, ProviderHttp
from billing.providers.port import ProviderIndefinite, ProviderUnavailable
from tests.support.stub_http import Stub, stub_server
from tests.support.waiting import wait_until


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with stub_server() as server:
        server.otherwise = (200, b"{}")
        yield server


async def test_when_no_time_is_left_the_next_request_is_not_sent_and_that_is_definite(stub: Stub) -> None:
    http, loop = ProviderHttp(stub.url, {}, timeout_s=0.01), asyncio.get_running_loop()
    await http.open()
    try:
        with http.bounded():
            over = loop.time() + 0.02
            await wait_until(lambda: loop.time() > over)
            with http.bounded(), pytest.raises(ProviderUnavailable, match="no time is left"):
                await http.call("POST", "/v1/payments")
    finally:
        await http.close()
    assert stub.asked == []


async def test_the_next_call_has_a_deadline_of_its_own(stub: Stub) -> None:
    http = ProviderHttp(stub.url, {}, timeout_s=20)
    await http.open()
    try:
        for _ in range(2):
            with http.bounded():
                assert (await http.call("GET", "/a")).good
    finally:
        await http.close()


async def test_an_answer_without_end_is_indefinite(stub: Stub) -> None:
    http = ProviderHttp(stub.url, {}, timeout_s=20)
    await http.open()
    stub.then(200, b"x" * (ANSWER_BYTES_MAX + 1))
    try:
        with pytest.raises(ProviderIndefinite, match="more than"):
            await http.call("POST", "/v1/payments")
    finally:
        await http.close()


async def test_a_redirect_is_not_followed_with_our_key(stub: Stub) -> None:
    http = ProviderHttp(stub.url, {"Authorization": "Bearer secret"}, timeout_s=20)
    await http.open()
    stub.then(307, b"", {"Location": f"{stub.url}/elsewhere"})
    try:
        assert (await http.call("POST", "/v1/payments")).status == 307
    finally:
        await http.close()
    assert [asked.path for asked in stub.asked] == ["/v1/payments"]
