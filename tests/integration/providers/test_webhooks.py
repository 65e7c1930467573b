"""Webhooks of a real sandbox: signed by each provider's scheme, retried, repeated, in any order, and never lost."""

import random
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from billing.providers.port import BadSignature, Provider, WebhookEvent
from tests.integration.providers.kits import NAMES, SECRETS, Kit, adapter, opened
from tests.integration.sandbox.process import ProviderProcess
from tests.support.ports import free_port
from tests.support.stub_http import Asked, Stub, stub_server
from tests.support.waiting import wait_until
from ticketflow.events import new_id


@pytest.fixture
def port() -> int:
    """Where the webhooks go."""
    return free_port()


@pytest.fixture
async def shop(port: int) -> AsyncIterator[Stub]:
    """Takes everything, unless told otherwise."""
    async with stub_server(port) as stub:
        stub.otherwise = (200, {})
        yield stub


@pytest.fixture(params=NAMES)
async def kit(request: pytest.FixtureRequest, port: int, tmp_path: Any) -> AsyncIterator[Kit]:
    environment = {
        "SANDBOX_WEBHOOK_URL": f"http://127.0.0.1:{port}/hooks",
        "SANDBOX_WEBHOOK_SECRETS": ",".join(SECRETS),
    }
    process = ProviderProcess(tmp_path, environment)
    process.start()
    try:
        await process.ready()
        async with opened(request.param, process) as one:
            yield one
    finally:
        process.kill()


async def manners(kit: Kit, **wanted: Any) -> None:
    async with kit.bank.put("/v1/webhooks/manners", json=wanted) as response:
        assert response.status == 200, await response.text()


async def counts(kit: Kit) -> dict[str, int]:
    async with kit.bank.get("/v1/webhooks") as response:
        return dict(await response.json())


async def settled(kit: Kit, sent: int) -> bool:
    return await counts(kit) == {"waiting": 0, "sent": sent, "given_up": 0}


def verified(asked: Asked, provider: Provider) -> WebhookEvent:
    return provider.verify(asked.headers, asked.body, int(time.time()))


async def about(event: WebhookEvent, kit: Kit) -> str | None:
    """Our reference: as the webhook says it, else as the provider does."""
    if event.reference is not None:
        return event.reference
    assert event.authorization_id is not None
    found = await kit.provider.read(event.authorization_id)
    return found.reference if found else None


async def sold_and_given_back(kit: Kit) -> str:
    """Three changes, so three webhooks; the reference."""
    reference, one = await kit.captured()
    await kit.provider.refund(one, 5000, key=f"{reference}:refund")
    return reference


async def test_each_change_is_told_signed_and_once(kit: Kit, shop: Stub) -> None:
    reference = await sold_and_given_back(kit)
    await wait_until(lambda: settled(kit, 3))
    assert [asked.path for asked in shop.asked] == [f"/hooks/{kit.name}"] * 3
    events = [verified(asked, kit.provider) for asked in shop.asked]
    assert [await about(event, kit) for event in events] == [reference] * 3
    assert len({event.provider_event_id for event in events}) == 3
    kinds = {
        "sandbox": ["authorized", "captured", "refunded"],
        "stripe": ["payment_intent.amount_capturable_updated", "payment_intent.succeeded", "charge.refunded"],
        "mercadopago": ["payment.created", "payment.updated", "payment.updated"],
    }
    assert [event.kind for event in events] == kinds[kit.name]


async def test_a_stranger_with_another_secret_does_not_believe_them(kit: Kit, shop: Stub) -> None:
    await sold_and_given_back(kit)
    await wait_until(lambda: settled(kit, 3))
    stranger = adapter(kit.name, kit.process.url, secrets=("whsec_other",))
    for asked in shop.asked:
        with pytest.raises(BadSignature, match="wrong"):
            verified(asked, stranger)


async def test_whoever_has_the_older_or_the_newer_secret_alone_believes_them(kit: Kit, shop: Stub) -> None:
    await kit.authorize(new_id())
    await wait_until(lambda: settled(kit, 1))
    alone = SECRETS if kit.name != "mercadopago" else SECRETS[:1]  # whose header has room for one
    for secret in alone:
        verified(shop.asked[0], adapter(kit.name, kit.process.url, secrets=(secret,)))


async def test_they_are_sent_again_until_somebody_takes_them_also_after_a_kill(kit: Kit, port: int) -> None:
    reference = new_id()
    await kit.authorize(reference)  # nobody listens
    kit.process.kill()
    kit.process.start()
    await kit.process.ready()
    async with stub_server(port) as shop:
        shop.otherwise = (200, {})
        shop.then(500, {}).then(302, {})
        await wait_until(lambda: settled(kit, 1))
        events = [verified(asked, kit.provider) for asked in shop.asked]
    assert len(events) >= 3
    assert len({event.provider_event_id for event in events}) == 1
    assert await about(events[0], kit) == reference


async def test_on_request_late_repeated_and_in_another_order(kit: Kit, shop: Stub) -> None:
    await manners(kit, paused=True)
    await sold_and_given_back(kit)
    assert (await counts(kit))["waiting"] == 3
    assert shop.asked == []
    await manners(kit, order="newest", repeats=1)
    await wait_until(lambda: settled(kit, 3))
    first, second, third = (event.provider_event_id for event in map(_event(kit), shop.asked[::2]))
    assert [event.provider_event_id for event in map(_event(kit), shop.asked)] == [
        *(first, first),
        *(second, second),
        *(third, third),
    ]
    shop.asked.clear()
    await manners(kit)
    async with kit.bank.post("/v1/webhooks/again") as response:
        assert response.status == 200
    await wait_until(lambda: settled(kit, 3))
    assert [event.provider_event_id for event in map(_event(kit), shop.asked)] == [third, second, first]


async def test_a_shuffled_order_is_that_of_its_seed(kit: Kit, shop: Stub) -> None:
    await manners(kit, paused=True)
    references = [new_id() for _ in range(6)]
    for reference in references:
        await kit.authorize(reference)
    await manners(kit, order="shuffled", seed=7)
    await wait_until(lambda: settled(kit, 6))
    wanted = list(references)
    random.Random(7).shuffle(wanted)
    assert [await about(event, kit) for event in map(_event(kit), shop.asked)] == wanted


async def test_a_repeated_request_is_no_change_and_is_not_told(kit: Kit, shop: Stub) -> None:
    reference = new_id()
    for _ in range(3):
        await kit.authorize(reference)
    await wait_until(lambda: settled(kit, 1))
    assert len(shop.asked) == 1


async def test_what_was_paid_on_the_providers_page_is_told(kit: Kit, shop: Stub) -> None:
    reference = new_id()
    page = await kit.provider.begin(reference=reference, amount_minor=1999, currency=kit.currency)
    await kit.pay(page.url)
    await wait_until(lambda: settled(kit, 1))
    assert await about(verified(shop.asked[0], kit.provider), kit) == reference


def _event(kit: Kit) -> Any:
    return lambda asked: verified(asked, kit.provider)
