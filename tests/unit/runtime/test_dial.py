"""Several ways at once, the first with a head start. Time is simulated."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.unit.delivery.clock import now, run
from ticketflow.runtime.dial import HEAD_START_S, PATIENCE_S_MAX, Patience, first_to_answer
from ticketflow.runtime.errors import Unavailable

Way = Callable[[], Coroutine[Any, Any, str]]


def opens(name: str, after_s: float = 0.02) -> Way:
    async def way() -> str:
        await asyncio.sleep(after_s)
        return name

    return way


def fails(after_s: float = 0.0) -> Way:
    async def way() -> str:
        await asyncio.sleep(after_s)
        raise ConnectionRefusedError("refused")

    return way


def silent() -> Way:
    async def way() -> str:
        async with asyncio.timeout(1):
            await asyncio.Event().wait()
        raise AssertionError

    return way


def dialled(*ways: Way) -> tuple[str, float, list[str]]:
    """What was opened, after how many seconds, and what was discarded within the next second."""
    discarded: list[str] = []

    async def story() -> tuple[str, float, list[str]]:
        way, opened = await first_to_answer(
            ways, lambda way: way(), Patience(1), faults=(OSError,), discard=discarded.append
        )
        took_s = round(now(), 3)
        assert way in ways
        await asyncio.sleep(1)
        return opened, took_s, discarded

    return run(story())


def test_the_first_is_taken_and_the_others_are_left_alone() -> None:
    assert dialled(opens("a"), opens("b")) == ("a", 0.02, [])


def test_a_refusal_costs_nothing() -> None:
    assert dialled(fails(), fails(), opens("c")) == ("c", 0.02, [])


def test_silence_costs_the_head_start_and_not_its_time_out() -> None:
    assert dialled(silent(), opens("b")) == ("b", round(HEAD_START_S + 0.02, 3), [])


def test_of_two_that_answer_late_the_first_is_taken() -> None:
    assert dialled(opens("a", after_s=0.5), opens("b", after_s=0.3)) == ("a", 0.5, [])


def test_what_is_opened_too_late_is_discarded() -> None:
    async def will_not_be_stopped() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return "a"
        raise AssertionError

    assert dialled(will_not_be_stopped, opens("b")) == ("b", round(HEAD_START_S + 0.02, 3), ["a"])


def test_when_none_opens_each_is_named() -> None:
    with pytest.raises(Unavailable, match=r"refused.*; .*no answer in time"):
        dialled(fails(), silent())


def test_what_is_no_fault_passes() -> None:
    async def broken() -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        dialled(broken, opens("b"))


def test_two_that_succeed_in_one_turn_are_one_too_many() -> None:
    opened, _took_s, discarded = dialled(opens("a", after_s=HEAD_START_S + 0.1), opens("b", after_s=0.1))
    assert sorted([opened, *discarded]) == ["a", "b"]


def test_patience_grows_with_what_a_login_takes() -> None:
    patience = Patience(1)
    patience.took(0.02)
    assert patience.timeout_s == 1
    patience.took(0.5)
    assert patience.timeout_s == 2
    patience.took(10)
    assert patience.timeout_s == PATIENCE_S_MAX


def test_patience_grows_while_nobody_answers_in_time_and_not_when_all_refuse() -> None:
    patience = Patience(1)

    async def story(way: Way) -> None:
        with pytest.raises(Unavailable):
            await first_to_answer([way], lambda way: way(), patience, faults=(OSError,), discard=lambda _name: None)

    run(story(fails()))
    assert patience.timeout_s == 1
    for expected in (2, 4, PATIENCE_S_MAX):
        run(story(silent()))
        assert patience.timeout_s == expected
