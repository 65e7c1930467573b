"""Whether the three stores, each asked by itself, tell the same story of an event."""

from tests.support.buyer import Event, Purchase
from tests.support.ring import Ring
from tests.support.waiting import wait_until

DRAIN_S = 60


async def all_confirmed(ring: Ring, event: Event, purchases: list[Purchase], *, price_minor: int = 2500) -> None:
    """Waits until every buyer is shown CONFIRMED; then each seat was sold once and paid once, in every store."""

    async def shown() -> bool:
        states = [await purchase.sale_state() for purchase in purchases]
        assert states == ["CONFIRMED"] * len(purchases)
        return True

    await wait_until(shown, timeout_s=DRAIN_S)
    sold = len(purchases)
    with ring.stores() as stores:
        totals = stores.totals(event.event_id)
    assert (totals.sold, totals.confirmed, totals.sales) == (sold, sold, sold)
    assert (totals.tickets, totals.sales_tickets) == (sold, sold)
    assert totals.captured_minor == price_minor * sold
