"""The same Idempotency-Key again: one payment, one answer."""

import asyncio

import msgspec

from billing.orders.rules import Payment, start_payment
from billing.orders.states import PaymentState
from billing.store import book, keys
from tests.integration.billing.world import Sale, World
from tests.integration.sandbox.process import ProviderProcess
from tests.support.waiting import wait_until
from ticketflow.events import new_id
from ticketflow.runtime.http.accept import fingerprint


async def test_ten_at_once_are_one_payment_and_ten_equal_answers(world: World) -> None:
    sale, key = await world.placed(), new_id()
    answers = await asyncio.gather(*(sale.pay(key=key) for _ in range(10)))
    assert {answer.status for answer in answers} == {201}
    assert len({msgspec.json.encode(answer.body) for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 9
    assert await sale.payment_states() == ["AUTHORIZED"]
    assert len(await world.at_bank(answers[0].body["payment_id"])) == 1


async def test_the_answer_stays_the_same_when_the_payment_has_gone_on(world: World) -> None:
    sale, key = await world.placed(), new_id()
    first = await sale.pay(key=key)
    await sale.sold(first.body["payment_id"])
    await world.run("capture")
    again = await sale.pay(key=key)
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_a_declined_card_stays_declined_under_its_key(world: World) -> None:
    sale, key = await world.placed(), new_id()
    first = await sale.pay("tok_declined", key=key)
    again = await sale.pay("tok_declined", key=key)
    assert (first.status, first.body["detail"]) == (again.status, again.body["detail"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await sale.payment_states() == ["DECLINED"]


async def test_a_final_refusal_is_given_again_too(world: World) -> None:
    sale, key = await world.placed(lasts_s=-1), new_id()
    first = await sale.pay(key=key)
    await sale.expired()  # by now a fresh request would be told order_failed
    again = await sale.pay(key=key)
    assert (first.status, first.code) == (again.status, again.code) == (410, "hold_expired")


async def test_another_body_under_the_key_is_refused(world: World) -> None:
    sale, key = await world.placed(), new_id()
    await sale.pay("tok_ok", key=key)
    other = await sale.pay("tok_declined", key=key)
    assert (other.status, other.code) == (422, "idempotency_mismatch")


async def test_two_buyers_may_choose_the_same_key(world: World) -> None:
    one, other = await world.placed(), await world.placed()
    assert [(await sale.pay(key="1")).status for sale in (one, other)] == [201, 201]


async def test_a_key_whose_payment_could_not_be_made_is_free_again(
    world: World, provider_process: ProviderProcess
) -> None:
    sale, key = await world.placed(), new_id()
    provider_process.kill()
    try:
        refused = await sale.pay(key=key)
        assert (refused.status, refused.code, refused.headers["Retry-After"]) == (503, "provider_unavailable", "2")
    finally:
        provider_process.start()
        await provider_process.ready()
    assert (await sale.pay(key=key)).status == 201
    assert await sale.payment_states() == ["FAILED", "AUTHORIZED"]


async def died_before_asking(world: World, sale: Sale, key: str) -> Payment:
    """What a web process leaves that is killed between its first transaction and the provider."""
    path = f"/api/v1/orders/{sale.hold_id}/payments"
    print_of = fingerprint("POST", path, {"method": "card", "card_token": "tok_ok"})
    payment_id = new_id()
    async with world.pool.transaction() as conn:
        await keys.claim(conn, f"order:{sale.hold_id}", key, print_of, payment_id)
        record = await book.lock(conn, sale.hold_id)
        assert record is not None
        decision = start_payment(record.order, payment_id, in_time=True)
        assert not isinstance(decision, str)
        payment = decision.order.payments[-1]
        await world.changes.begin(conn, record, decision, payment_id, method="card", provider="sandbox")
    return payment


async def test_after_a_crash_before_the_provider_was_asked_the_repeat_waits_and_then_begins_anew(world: World) -> None:
    sale, key = await world.placed(), new_id()
    payment = await died_before_asking(world, sale, key)
    waited = await sale.pay(key=key)
    assert (waited.status, waited.body["state"], waited.body["payment_id"]) == (202, "STARTED", payment.payment_id)
    await world.age(payment.payment_id)
    await world.run("resolver")
    assert await sale.payment_states() == ["FAILED"]
    assert (await sale.pay(key=key)).status == 201
    assert await sale.payment_states() == ["FAILED", "AUTHORIZED"]


async def test_after_a_crash_once_the_provider_was_asked_the_repeat_is_told_the_outcome(world: World) -> None:
    sale, key = await world.placed(), new_id()
    payment = await died_before_asking(world, sale, key)
    await world.provider.authorize(reference=payment.payment_id, amount_minor=5000, currency="EUR", card_token="tok_ok")
    repeat = asyncio.create_task(sale.pay(key=key))
    await world.age(payment.payment_id)
    await world.run("resolver")
    told = await repeat
    assert (told.status, told.body["payment_id"]) == (201, payment.payment_id)
    assert await sale.payment_states() == [PaymentState.AUTHORIZED]
    assert len(await world.at_bank(payment.payment_id)) == 1


async def test_keys_are_purged_when_their_time_is_over(world: World) -> None:
    sale, key = await world.placed(), new_id()
    await sale.pay(key=key)
    async with world.pool.transaction() as conn:
        assert await keys.purge(conn, 24 * 3600, 10) == 0
    async with world.pool.transaction() as conn:
        assert await keys.purge(conn, -1, 10) == 1
    await wait_until(lambda: world.rows("SELECT 1 AS gone WHERE NOT EXISTS (SELECT 1 FROM idempotency)"))
