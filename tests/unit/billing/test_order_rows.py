"""The orders of a batch go out in one statement: insert_placed depends on it."""

from billing.store.order_rows import INSERT_ORDERS, placed
from ticketflow.events import HoldPlaced, new_id
from ticketflow.feed import Limits
from ticketflow.runtime.mariadb_rows import STATEMENT_BYTES_MAX, values

LONGEST_US = 253_402_300_799_999_999  # the last microsecond of 9999


def test_the_longest_orders_of_the_largest_batch_fit_into_one_statement() -> None:
    hold = HoldPlaced(
        hold_id=new_id(),
        event_id=new_id(),
        event_name='"' * 255,  # each of them is written as two
        buyer_id='"' * 64,
        currency="EUR",
        total_minor=2**63 - 1,
        lines=[],
        placed_at_us=LONGEST_US,
        expires_at_us=LONGEST_US,
        grace_s=0,
    )
    written = values([placed(hold, '"' * 64).row] * Limits().batch_events_max, escape=repr)
    assert len(INSERT_ORDERS) + len(" VALUES ") + len(written.text) <= STATEMENT_BYTES_MAX
