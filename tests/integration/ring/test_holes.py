"""Single rows are missing under running services: found by counting, and filled by a replay, or told."""

from pathlib import Path

import pytest

from tests.integration.ring.laning import mariadb, postgres
from tests.support.accounts import all_confirmed
from tests.support.buyer import Buyer, Event, Purchase, Shop
from tests.support.restoring import Restoring
from tests.support.ring import Ring
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(300)
FILLED_S = 60
STREAM = "reservation"  # to billing
AWAY = "put-away"


async def buy(event: Event, seat: str) -> Purchase:
    purchase = await Buyer(event.shop).hold(event, [seat])
    await purchase.pay_through()
    return purchase


def seq_of(ring: Ring, purchase: Purchase, kind: str) -> int:
    """Where an event of that sale stands in reservation's stream."""
    sql = f"SELECT stream, seq FROM delivery_outbox WHERE event_key = '{purchase.hold_id}' AND kind = '{kind}'"
    [(stream, seq)] = postgres(ring, "reservation", sql)
    assert stream == STREAM
    return int(seq)


def move(ring: Ring, seq: int, stream: str, to: str) -> None:
    """One event of reservation's outbox to another stream, of which nobody knows."""
    sql = f"UPDATE delivery_outbox SET stream = '{to}' WHERE stream = '{stream}' AND seq = {seq} RETURNING 1"
    assert postgres(ring, "reservation", sql) == [(1,)]


async def test_dedup_keys_that_are_gone_are_found_and_filled(shop: Shop, ring: Ring, tmp_path: Path) -> None:
    restoring = Restoring(ring, tmp_path)
    event = await shop.event(seats=3)
    sales = [await buy(event, seat) for seat in event.seats]
    await all_confirmed(ring, event, sales)
    lost = [seq_of(ring, sales[0], "hold.placed"), seq_of(ring, sales[1], "hold.sold")]

    mariadb(ring, f"DELETE FROM delivery_inbox WHERE stream = '{STREAM}' AND seq IN ({lost[0]}, {lost[1]})")
    mariadb(ring, f"UPDATE delivery_check SET recount_at = UTC_TIMESTAMP(6) WHERE stream = '{STREAM}'")  # a day later

    holes = f"SELECT first_seq, last_seq, filled_at IS NOT NULL FROM delivery_hole WHERE stream = '{STREAM}' ORDER BY 1"
    wanted = tuple((seq, seq, 1) for seq in sorted(lost))
    await wait_until(lambda: tuple(mariadb(ring, holes)) == wanted, timeout_s=FILLED_S)
    keys = f"SELECT seq FROM delivery_inbox WHERE stream = '{STREAM}' AND seq IN ({lost[0]}, {lost[1]}) ORDER BY seq"
    assert [row[0] for row in mariadb(ring, keys)] == sorted(lost)
    await all_confirmed(ring, event, sales)
    assert await restoring.findings() == set()


async def test_an_event_that_is_gone_from_the_outbox_is_told_until_a_person_has_seen_it(
    shop: Shop, ring: Ring, tmp_path: Path
) -> None:
    restoring = Restoring(ring, tmp_path)
    event = await shop.event(seats=2)
    sales = [await buy(event, seat) for seat in event.seats]
    await all_confirmed(ring, event, sales)
    gone = seq_of(ring, sales[0], "hold.sold")

    move(ring, gone, STREAM, AWAY)
    try:
        due = f"UPDATE delivery_check SET recount_at = clock_timestamp() WHERE stream = '{STREAM}' RETURNING 1"
        postgres(ring, "reservation", due)

        async def told() -> bool:
            return await restoring.findings() == {("reservation", "hole", STREAM)}

        await wait_until(told, timeout_s=FILLED_S, interval_s=0.5)
        text = (await restoring.audit()).out
        assert f"hole {STREAM} (out)" in text
        assert f"seqs {gone}..{gone}, 1 events" in text
        said = await restoring.stream("reservation", "resolve", "hole", STREAM, "--note", "billing has it")
        assert (said.code, said.out) == (0, "resolved: 1\n")
        assert (await restoring.audit()).code == 0
    finally:
        move(ring, gone, AWAY, STREAM)
