"""What may have happened is never taken for a failure, and what has happened is found out."""

from collections.abc import Awaitable, Callable

import pytest

from billing.providers.port import Authorization, ProviderIndefinite, ProviderUnavailable, Refused
from tests.integration.providers.kits import Kit, adapter
from ticketflow.events import new_id

ACTIONS = ("authorize", "capture", "void", "refund")
DONE = {
    "authorize": {"state": "authorized", "captured_minor": 0, "refunded_minor": 0},
    "capture": {"state": "captured", "captured_minor": 5000, "refunded_minor": 0},
    "void": {"state": "voided", "captured_minor": 0, "refunded_minor": 0},
    "refund": {"state": "refunded", "captured_minor": 5000, "refunded_minor": 1000},
}
MANY = 100  # the client repeats a GET or a PUT by itself when the connection ends: both may be repeated
BEFORE = {"authorize": None, "capture": "authorized", "void": "authorized", "refund": "captured"}


async def prepared(kit: Kit, action: str) -> tuple[str, Callable[[], Awaitable[Authorization]]]:
    """(reference, the action): it can be called again and again, under one key."""
    reference, provider = new_id(), kit.provider
    if action == "authorize":
        return reference, lambda: kit.authorize(reference)
    one = (await kit.authorize(reference)).authorization_id
    if action == "void":
        return reference, lambda: provider.void(one, key=f"{reference}:void")
    if action == "capture":
        return reference, lambda: provider.capture(one, 5000, key=f"{reference}:capture")
    await provider.capture(one, 5000, key=f"{reference}:capture")
    return reference, lambda: provider.refund(one, 1000, key=f"{reference}:refund")


async def state(kit: Kit, reference: str) -> str | None:
    books = await kit.books(reference)
    return str(books[0]["state"]) if books else None


async def is_done_once(kit: Kit, reference: str, action: str) -> None:
    book = await kit.book(reference)
    assert {name: book[name] for name in DONE[action]} == DONE[action]
    assert (await kit.fetched(reference)).state == DONE[action]["state"]


@pytest.mark.parametrize("kind", ["drop_after", "error_after"])
@pytest.mark.parametrize("action", ACTIONS)
async def test_done_without_a_word_is_indefinite_found_by_fetch_and_not_done_again(
    kit: Kit, action: str, kind: str
) -> None:
    reference, act = await prepared(kit, action)
    await kit.plan(action, kind, count=MANY)
    with pytest.raises(ProviderIndefinite):
        await act()
    await kit.clear()
    await is_done_once(kit, reference, action)
    assert (await act()).state == DONE[action]["state"]
    await is_done_once(kit, reference, action)


@pytest.mark.parametrize("kind", ["drop", "error"])
@pytest.mark.parametrize("action", ACTIONS)
async def test_not_done_and_no_good_word_is_indefinite_and_the_same_key_does_it(
    kit: Kit, action: str, kind: str
) -> None:
    reference, act = await prepared(kit, action)
    await kit.plan(action, kind, count=MANY)
    with pytest.raises(ProviderIndefinite):
        await act()
    await kit.clear()
    assert await state(kit, reference) == BEFORE[action]
    await act()
    await is_done_once(kit, reference, action)


@pytest.mark.parametrize("action", ACTIONS)
async def test_too_many_requests_are_definite(kit: Kit, action: str) -> None:
    reference, act = await prepared(kit, action)
    await kit.plan(action, "rate_limit")
    with pytest.raises(ProviderUnavailable):
        await act()
    assert await state(kit, reference) == BEFORE[action]
    await act()
    await is_done_once(kit, reference, action)


@pytest.mark.parametrize("kind", ["error", "rate_limit", "drop", "drop_after"])
async def test_reading_fails_definitely(kit: Kit, kind: str) -> None:
    reference, _ = await kit.captured()
    await kit.plan("fetch", kind, count=MANY)
    with pytest.raises(ProviderUnavailable):
        await kit.provider.fetch(reference)
    await kit.clear()
    assert (await kit.fetched(reference)).state == "captured"


async def test_charged_and_then_silent_is_indefinite_and_found_by_fetch(kit: Kit) -> None:
    """3 s: a machine that stands still for two must not be taken for the provider."""
    hasty, reference = adapter(kit.name, kit.process.url, timeout_s=3), new_id()
    await hasty.open()
    try:
        with pytest.raises(ProviderIndefinite):
            await kit.authorize(reference, "tok_timeout_after_charge", by=hasty)
    finally:
        await hasty.close()
    found = await kit.fetched(reference)
    assert (found.state, found.amount_minor) == ("authorized", 5000)
    assert len(await kit.books(reference)) == 1


@pytest.mark.parametrize("action", ["capture", "void", "refund"])
async def test_stripe_keeps_an_error_under_its_key_and_the_next_key_is_used(stripe: Kit, action: str) -> None:
    reference, act = await prepared(stripe, action)
    await stripe.plan(action, "error_kept", count=3)  # the first key, its repeat, the second key
    for _ in range(2):
        with pytest.raises(ProviderIndefinite):
            await act()
    assert await state(stripe, reference) == BEFORE[action]
    for _ in range(2):
        await act()
        await is_done_once(stripe, reference, action)


@pytest.mark.parametrize("action", ["void", "refund"])
async def test_stripe_does_it_once_when_it_had_and_says_500_for_ever(stripe: Kit, action: str) -> None:
    reference, act = await prepared(stripe, action)
    await stripe.plan(action, "error_kept_after")
    with pytest.raises(ProviderIndefinite):
        await act()
    for _ in range(3):
        await act()
    await is_done_once(stripe, reference, action)


async def test_stripe_refuses_to_capture_again_and_fetch_says_that_it_has(stripe: Kit) -> None:
    reference, act = await prepared(stripe, "capture")
    await stripe.plan("capture", "error_kept_after")
    with pytest.raises(ProviderIndefinite):
        await act()
    with pytest.raises(Refused, match="payment_intent_unexpected_state"):
        await act()
    await is_done_once(stripe, reference, "capture")


async def test_stripe_finds_a_payment_although_a_500_was_kept_for_its_customer(stripe: Kit) -> None:
    await stripe.plan("fetch", "error_kept")
    reference = new_id()
    with pytest.raises(ProviderUnavailable):
        await stripe.authorize(reference)
    assert await stripe.books(reference) == []
    await stripe.authorize(reference)
    assert (await stripe.fetched(reference)).state == "authorized"


@pytest.mark.parametrize("action", ACTIONS)
async def test_a_key_that_is_being_served_is_indefinite(kit: Kit, action: str) -> None:
    reference, act = await prepared(kit, action)
    await kit.plan(action, "conflict")
    with pytest.raises(ProviderIndefinite):
        await act()
    await act()
    await is_done_once(kit, reference, action)
