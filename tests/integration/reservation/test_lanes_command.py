"""``python -m reservation lanes``: one line for each lane, and one for each mistake."""

import pytest

from tests.integration.reservation.test_service import own_dsn  # noqa: F401 - a fixture
from tests.support.commands import module
from tests.support.ports import free_port


async def test_the_number_of_lanes_is_shown_and_set(own_dsn: str) -> None:  # noqa: F811
    environment = {"RESERVATION_DATABASE_DSN": own_dsn}
    shown = await module("reservation", environment, "lanes", "show")
    assert (shown.code, shown.out, shown.err) == (0, "reservation: 1 lane\n", "")
    changed = await module("reservation", environment, "lanes", "set", "2", "--actor", "a test")
    names = [line.split()[0] for line in changed.out.splitlines()]
    assert (changed.code, names) == (0, ["reservation:", "reservation", "reservation.1"])
    again = await module("reservation", environment, "lanes", "set", "2")
    assert (again.code, again.out, again.err) == (0, changed.out, "reservation has 2 already\n")


@pytest.mark.parametrize("number", ["0", "17", "-1", "four"])
async def test_a_number_that_cannot_be_is_a_mistake_of_usage(number: str) -> None:
    said = await module("reservation", {}, "lanes", "set", number)
    assert said.code == 2
    assert said.err.endswith(f"argument N: '{number}' is no number from 1 to 16\n")


async def test_a_database_that_is_away_is_said_so_in_one_line() -> None:
    environment = {"RESERVATION_DATABASE_DSN": f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"}
    said = await module("reservation", environment, "lanes", "show")
    assert said.code == 1
    assert said.err.startswith("reservation lanes: the database is away: ")
    assert len(said.err.splitlines()) == 1


async def test_a_setting_that_is_missing_is_named() -> None:
    said = await module("reservation", {}, "lanes", "show")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("reservation lanes: RESERVATION_DATABASE_DSN is not set")
