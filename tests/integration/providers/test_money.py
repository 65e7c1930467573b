"""What every provider does with money, whichever it is."""

import asyncio

import pytest

from billing.providers.port import Declined, ProviderUnavailable, Refused
from tests.integration.providers.kits import REASONS, Kit, adapter
from tests.support.ports import free_port
from ticketflow.events import new_id


async def test_set_aside_taken_and_given_back_in_parts(kit: Kit) -> None:
    reference = new_id()
    made = await kit.authorize(reference)
    assert (made.state, made.amount_minor, made.kept_minor, made.reference) == ("authorized", 5000, 0, reference)
    taken = await kit.provider.capture(made.authorization_id, 5000, key=f"{reference}:capture")
    assert (taken.state, taken.captured_minor, taken.kept_minor) == ("captured", 5000, 5000)
    part = await kit.provider.refund(made.authorization_id, 2000, key=f"{reference}:r1")
    assert (part.state, part.refunded_minor, part.kept_minor) == ("refunded", 2000, 3000)
    rest = await kit.provider.refund(made.authorization_id, 3000, key=f"{reference}:r2")
    assert (rest.state, rest.kept_minor) == ("refunded", 0)
    assert await kit.fetched(reference) == await kit.provider.read(made.authorization_id) == rest


async def test_set_free(kit: Kit) -> None:
    reference = new_id()
    made = await kit.authorize(reference)
    assert (await kit.provider.void(made.authorization_id, key=f"{reference}:void")).state == "voided"
    found = await kit.fetched(reference)
    assert (found.state, found.kept_minor, found.refunded_minor) == ("voided", 0, 0)


async def test_set_free_again_is_no_error_and_no_effect(kit: Kit) -> None:
    reference = new_id()
    made = await kit.authorize(reference)
    for key in ("one", "one", "another"):
        assert (await kit.provider.void(made.authorization_id, key=f"{reference}:{key}")).state == "voided"


async def test_what_is_taken_cannot_be_set_free_and_the_other_way_round(kit: Kit) -> None:
    reference, taken = await kit.captured()
    with pytest.raises(Refused):
        await kit.provider.void(taken, key=f"{reference}:void")
    other = new_id()
    freed = await kit.authorize(other)
    await kit.provider.void(freed.authorization_id, key=f"{other}:void")
    with pytest.raises(Refused):
        await kit.provider.capture(freed.authorization_id, 5000, key=f"{other}:capture")
    assert [(await kit.book(one))["state"] for one in (reference, other)] == ["captured", "voided"]


async def test_the_same_key_moves_money_once(kit: Kit) -> None:
    reference = new_id()
    made = {one.authorization_id for one in await asyncio.gather(*(kit.authorize(reference) for _ in range(5)))}
    assert len(made) == 1
    (one,) = made
    provider = kit.provider
    for _ in range(3):
        assert (await provider.capture(one, 5000, key=f"{reference}:capture")).captured_minor == 5000
    for _ in range(3):
        await provider.refund(one, 1000, key=f"{reference}:refund")
    book = await kit.book(reference)
    assert (book["captured_minor"], book["refunded_minor"]) == (5000, 1000)


async def test_a_key_for_another_amount_is_refused(kit: Kit) -> None:
    reference = new_id()
    await kit.authorize(reference)
    with pytest.raises(Refused):
        await kit.authorize(reference, amount_minor=5001)
    assert (await kit.book(reference))["amount_minor"] == 5000


@pytest.mark.parametrize("card", ["tok_declined", "tok_insufficient"])
async def test_a_declined_card_holds_nothing_and_says_why(kit: Kit, card: str) -> None:
    reference = new_id()
    with pytest.raises(Declined) as refused:
        await kit.authorize(reference, card)
    assert str(refused.value) == REASONS[kit.name][card]
    found = await kit.fetched(reference)
    assert (found.state, found.reason, found.kept_minor) == ("declined", REASONS[kit.name][card], 0)


async def test_no_more_is_taken_than_was_set_aside_and_no_more_given_back_than_was_taken(kit: Kit) -> None:
    reference = new_id()
    made = await kit.authorize(reference, amount_minor=500)
    with pytest.raises(Refused):
        await kit.provider.capture(made.authorization_id, 501, key=f"{reference}:too-much")
    await kit.provider.capture(made.authorization_id, 500, key=f"{reference}:capture")
    with pytest.raises(Refused):
        await kit.provider.refund(made.authorization_id, 501, key=f"{reference}:too-much-back")
    assert (await kit.book(reference))["refunded_minor"] == 0


async def test_amounts_are_exact(kit: Kit) -> None:
    """Numbers that binary fractions cannot hold."""
    for amount in (1, 10, 29, 1999, 57_505_67, 99_999_999):
        reference, one = await kit.captured(amount)
        back = await kit.provider.refund(one, amount, key=f"{reference}:refund")
        assert (back.captured_minor, back.refunded_minor) == (amount, amount)
        assert (await kit.book(reference))["refunded_minor"] == amount


async def test_what_nobody_asked_for_is_not_there(kit: Kit) -> None:
    assert await kit.provider.fetch(new_id()) is None
    assert await kit.provider.fetch_all(new_id()) == []
    unknown = {"sandbox": "auth_x", "stripe": "pi_x", "mercadopago": "1999999999"}[kit.name]
    for identifier in (unknown, "no-such-thing", "../faults", "?x#y", "\u00e9"):
        assert await kit.provider.read(identifier) is None
        with pytest.raises(Refused):
            await kit.provider.capture(identifier, 1, key=new_id())


async def test_nobody_is_served_with_a_wrong_key_and_nothing_is_done(kit: Kit) -> None:
    stranger, reference = adapter(kit.name, kit.process.url, key="wrong"), new_id()
    await stranger.open()
    try:
        with pytest.raises(ProviderUnavailable):
            await kit.authorize(reference, by=stranger)
        with pytest.raises(ProviderUnavailable):
            await stranger.fetch(reference)
    finally:
        await stranger.close()
    assert await kit.books(reference) == []


async def test_out_of_reach_is_definite(kit: Kit) -> None:
    nowhere = adapter(kit.name, f"http://127.0.0.1:{free_port()}")
    await nowhere.open()
    try:
        with pytest.raises(ProviderUnavailable):
            await kit.authorize(new_id(), by=nowhere)
    finally:
        await nowhere.close()
