"""Coroutines that stand and fall together."""

import asyncio

import pytest

from tests.unit.delivery.clock import run
from ticketflow.delivery.racing import first_of


async def for_ever(ended: list[str]) -> None:
    try:
        await asyncio.sleep(10**6)
    finally:
        ended.append("cancelled")


async def fails_after(delay_s: float, error: Exception) -> None:
    await asyncio.sleep(delay_s)
    raise error


def test_the_first_error_ends_all_and_is_raised() -> None:
    ended: list[str] = []
    with pytest.raises(KeyError):
        run(first_of(for_ever(ended), fails_after(1, KeyError()), fails_after(2, ValueError())))
    assert ended == ["cancelled"]


def test_of_two_errors_at_once_the_first_given_counts() -> None:
    with pytest.raises(ValueError, match="first"):
        run(first_of(fails_after(1, ValueError("first")), fails_after(1, KeyError())))


def test_a_return_ends_all() -> None:
    ended: list[str] = []
    run(first_of(asyncio.sleep(1), for_ever(ended)))
    assert ended == ["cancelled"]


def test_cancelling_it_cancels_all() -> None:
    ended: list[str] = []

    async def story() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await first_of(for_ever(ended), for_ever(ended))

    run(story())
    assert ended == ["cancelled", "cancelled"]
