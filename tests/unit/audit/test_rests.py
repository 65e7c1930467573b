"""How long the auditor that goes round for ever rests after a page."""

from typing import Any, cast

import pytest

from audit.money.limits import PAGE
from audit.money.round import Outcome
from audit.settings import WatchSettings
from audit.watch import REST, ROUND_S, Watch
from ticketflow.runtime.address import parse_addresses
from ticketflow.runtime.settings import Secret


def watch() -> Watch:
    settings = WatchSettings(
        reservation_dsn=Secret("postgresql://x"),
        portal_dsn=Secret("postgresql://x"),
        billing_hosts=parse_addresses("127.0.0.1:1"),
        billing_password=Secret("x"),
        http_port=1,
    )
    return Watch(cast(Any, None), None, settings)


def test_it_rests_in_proportion_to_what_a_page_has_cost_and_never_less_than_the_pause_that_is_set() -> None:
    assert watch().rest_s(0.05) == REST * 0.05 == 1.5
    assert watch().rest_s(0.001) == 0.1


@pytest.mark.parametrize(("sales", "most_s"), [(0, ROUND_S), (PAGE * 3600, 0.5)])
def test_a_round_ends_in_time_however_many_sales_there_were_in_the_last_one(sales: int, most_s: float) -> None:
    one = watch()
    one.note(Outcome(sales=sales))
    assert one.rest_s(1e9) == pytest.approx(most_s, rel=0.01)
