"""Whatever happens in whatever order, money is conserved and every order ends: on the real store, with the real wire.

The rules alone are walked a thousand times in tests/unit/billing/test_interleavings.py; here are fewer walks, through
all of billing: HTTP, store, ledger, provider, webhooks, refunds, and workers that are killed in the middle.
"""

import gc
import warnings
from collections.abc import Iterator

import pytest

from tests.integration.billing.hooked import HookedWorld
from tests.integration.billing.refunding import Office
from tests.integration.billing.walks import WALLET, Place, Walk

STEPS = 120
SEEDS = range(1, 11)
FINAL = ("CONFIRMED", "FAILED", "PARTIALLY_REFUNDED", "REFUNDED")


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """A worker that dies while it connects leaves its socket to whoever sweeps: the kernel for a process, here us."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize("hooked", ["sandbox", "stripe", "mercadopago"], indirect=True)
async def test_every_walk_ends_with_each_cent_in_its_place(hooked: HookedWorld) -> None:
    seen: set[str] = set()
    async with Office.opened(hooked) as office:
        for seed in SEEDS:
            print(f"{hooked.provider.name}: seed {seed}")
            walk = Walk(hooked, office, seed)
            await walk.begin()
            for _ in range(STEPS):
                await walk.step()
            await walk.come_to_rest()
            spent = [await ended_well(walk, place) for place in walk.places]
            assert await hooked.credits(walk.buyer_id) == (WALLET - sum(spent), 0)
            seen |= {(await place.sale.order())["state"] for place in walk.places}
    assert await hooked.ledger_faults() == []
    assert len(seen & set(FINAL)) >= 3  # else the walks do not get anywhere


async def ended_well(walk: Walk, place: Place) -> int:
    """The credits that this order has cost its buyer in the end."""
    world, order = walk.world, await place.sale.order()
    assert order["state"] in FINAL, order
    captured = [payment for payment in order["payments"] if payment["state"] == "CAPTURED"]
    assert len(captured) == (order["state"] != "FAILED")
    back = [refund for refund in await walk.office.of(place.sale) if refund["state"] == "REFUNDED"]
    kept = [await world.kept_minor(payment["payment_id"]) for payment in order["payments"]]
    card_minor = sum(payment["amount_minor"] - payment["credits_minor"] for payment in captured)
    assert sum(kept) == card_minor - sum(refund["card_minor"] for refund in back), order
    prices = {line["unit_id"]: line["price_minor"] for line in order["lines"]}
    good = [ticket for ticket in order["tickets"] if not ticket["voided"]]
    credits_minor = sum(p["credits_minor"] for p in captured) - sum(refund["credits_minor"] for refund in back)
    assert sum(kept) + credits_minor == sum(prices[ticket["unit_id"]] for ticket in good)
    assert "contradiction" not in [entry["code"] for entry in order["history"]], order["history"]
    if order["state"] == "FAILED":
        asked_back = any(getattr(told, "return_id", None) for told in await world.staged(place.sale.hold_id))
        assert place.state != "SOLD" or asked_back
    else:
        assert place.state == "SOLD"
    return int(credits_minor)
