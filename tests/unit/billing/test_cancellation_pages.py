"""How far a page of a cancelled event goes, and how long until the next pass."""

from billing.refunds.cancellations import PAGE, PASS_PAUSE_S, first_page, pause_s
from billing.store.cancellations import Met


def met(*good: bool) -> list[Met]:
    return [Met(f"o{number}", pending=False, good_ticket=is_good) for number, is_good in enumerate(good)]


def test_a_page_ends_after_so_many_orders_that_have_to_be_refunded() -> None:
    assert first_page(met(*[True] * (PAGE + 1))) == met(*[True] * PAGE)
    between = met(False, *[True, False] * PAGE, True)
    assert first_page(between) == between[: 2 * PAGE]


def test_orders_without_a_good_ticket_are_passed_over_by_the_way() -> None:
    for scanned in (met(), met(*[False] * 1000), met(*[True] * PAGE), met(*[False] * 500, *[True] * PAGE, False)):
        assert first_page(scanned) == scanned


def test_passes_come_less_and_less_often() -> None:
    pauses = [pause_s(passes) for passes in range(100)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == PASS_PAUSE_S
