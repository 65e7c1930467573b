"""The client against a small real server that misbehaves as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from aiohttp import web
from aiohttp.test_utils import TestServer

from drills.clock import Clock
from drills.history import Op
from drills.shop import Shop, open_shop
from tests.support.waiting import wait_until

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PATIENCE_S = 2.0


class Script:
    """Answers in turn; the last one for ever. Keeps the keys that it was sent."""

    def __init__(self, *answers: Handler) -> None:
        self._answers = list(answers)
        self.keys: list[str | None] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("Idempotency-Key"))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return await answer(request)


def says(status: int, code: str = "", *, retry_after: str | None = None) -> Handler:
    async def answer(_request: web.Request) -> web.StreamResponse:
        headers = {"Retry-After": retry_after} if retry_after else {}
        return web.json_response({"code": code} if code else {"hold_id": "h"}, status=status, headers=headers)

    return answer


async def silent(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(60)
    raise AssertionError("nobody waits that long")


async def hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def shop_with(script: Script) -> AsyncIterator[tuple[Shop, list[Op]]]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", script.answer)
    server = TestServer(app)
    await server.start_server()
    ops: list[Op] = []
    try:
        base = str(server.make_url("/"))
        async with open_shop(base, Clock(), ops.append, patience_s=PATIENCE_S, request_s=0.3) as shop:
            yield shop, ops
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await server.close()


async def held(script: Script) -> Op:
    async with shop_with(script) as (shop, ops):
        await shop.wish(
            "buyer", "hold", "POST", "/api/v1/holds", {}, key="k", tell=lambda b: {"order_id": b["hold_id"]}
        )
    [op] = ops
    return op


async def test_a_wish_keeps_its_key_until_it_is_decided() -> None:
    script = Script(says(503, "store_unavailable"), silent, hangs_up, says(502), says(201))
    op = await held(script)
    assert (op.outcome, op.status, op.order_id, op.attempts) == ("ok", 201, "h", 5)
    assert script.keys == ["k"] * 5
    assert op.body_digest


async def test_a_refusal_that_decides_ends_it_at_once() -> None:
    op = await held(Script(says(409, "seat_unavailable")))
    assert (op.outcome, op.code, op.attempts) == ("refused", "seat_unavailable", 1)
    assert op.order_id == ""


async def test_a_refusal_after_a_lost_answer_is_the_decision() -> None:
    op = await held(Script(hangs_up, says(409, "seat_unavailable")))
    assert (op.outcome, op.attempts) == ("refused", 2)


async def test_patience_ends_indefinite_when_an_attempt_may_have_been_done() -> None:
    op = await held(Script(hangs_up, says(429, retry_after="1")))
    assert (op.outcome, op.status) == ("indefinite", 429)
    assert op.ended_s - op.began_s <= PATIENCE_S
    assert op.body_digest == ""


async def test_patience_ends_refused_when_no_attempt_can_have_been_done() -> None:
    op = await held(Script(says(409, "order_not_yet", retry_after="1")))
    assert (op.outcome, op.code) == ("refused", "order_not_yet")
    assert op.attempts <= 3


async def test_a_silent_server_is_indefinite() -> None:
    op = await held(Script(silent))
    assert (op.outcome, op.status, op.code) == ("indefinite", 0, "timed_out")
    assert op.attempts > 1


async def test_a_port_that_nobody_listens_on_was_never_asked() -> None:
    ops: list[Op] = []
    async with open_shop("http://127.0.0.1:1", Clock(), ops.append, patience_s=0.5) as shop:
        await shop.wish("buyer", "hold", "POST", "/", {}, key="k")
    assert [(op.outcome, op.code) for op in ops] == [("refused", "not_connected")]


async def test_nothing_is_repeated_behind_our_back() -> None:
    script = Script(hangs_up, says(200))
    async with shop_with(script) as (shop, ops):
        await shop.wish("buyer", "sale", "GET", "/api/v1/sales/x")
    assert ops[0].attempts == len(script.keys) == 2


async def test_who_is_sent_away_in_mid_wish_leaves_an_indefinite_one() -> None:
    async with shop_with(Script(silent)) as (shop, ops):
        wish = asyncio.create_task(shop.wish("buyer", "hold", "POST", "/", {}, key="k"))
        await wait_until(lambda: shop.attempts == 1)
        wish.cancel()
        await asyncio.gather(wish, return_exceptions=True)
    assert [(op.outcome, op.code, op.key) for op in ops] == [("indefinite", "sent_away", "k")]
