"""Which repair is for which kind, and how one is carried out: only what a fresh look still finds."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg
import pymysql.err

from audit.money import (
    repair_entries,
    repair_given_back,
    repair_ledger,
    repair_orders,
    repair_portal,
    repair_provider,
    repair_refunds,
    repair_seats,
    repair_topups,
)
from audit.money.hands import Hands, RepairRefused
from audit.money.kinds import KINDS
from audit.money.round import Round
from audit.money.sides import Difference
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable

Repair = Callable[[Hands, Difference, Any], Awaitable[str]]

UNDER_WAY = ("STARTED", "AUTHORIZED", "SETTLED", "VOIDING")
REPAIRS: Mapping[str, Repair] = {
    "seat_sold_order_failed": repair_seats.return_all,
    "seat_sold_without_order": repair_seats.return_unpaid,
    "seat_sold_not_paid": repair_seats.return_unpaid,
    "order_confirmed_seat_not_sold": repair_seats.settle_again,
    "seats_not_returned": repair_seats.return_refunded,
    "hold_without_order": repair_seats.place_again,
    "order_open_hold_ended": repair_seats.end_again,
    "tickets_missing": repair_orders.issue,
    "tickets_extra": repair_orders.void,
    "ticket_good_after_refund": repair_orders.void,
    "order_state_differs": repair_refunds.set_state,
    "refunds_sum_differs": repair_refunds.set_sum,
    "payment_stuck": repair_orders.look_at_once("payments", "payment_id", UNDER_WAY),
    "refund_stuck": repair_orders.look_at_once("refunds", "refund_id", ("REQUESTED",)),
    "refund_refused": repair_refunds.ask_again,
    "webhook_unmatched": repair_orders.look_at_once("webhooks", "webhook_id", ("RECEIVED", "UNMATCHED")),
    "topup_stuck": repair_orders.look_at_once("topups", "topup_id", ("STARTED", "RETURNING")),
    "topup_credited_not_paid": repair_topups.freeze_missing,
    "topup_paid_not_credited": repair_orders.return_topup,
    "money_kept_without_tickets": repair_provider.give_back,
    "authorization_left_open": repair_provider.give_back,
    "paid_twice": repair_provider.give_back,
    "provider_captured_more": repair_provider.refund_extra,
    "provider_refunded_more": repair_given_back.refund_all,
    "provider_refunded_less": repair_provider.refund_missing,
    "ledger_capture_missing": repair_ledger.write_missing,
    "ledger_refund_missing": repair_ledger.write_missing,
    "ledger_topup_missing": repair_topups.write_topup,
    "credits_frozen_for_nothing": repair_ledger.write_missing,
    "ledger_differs": repair_ledger.correct,
    "balance_differs": repair_ledger.rebuild,
    "wrong_event": repair_entries.move_to_its_event,
    "portal_missing": repair_portal.tell_again,
    "portal_state_differs": repair_portal.tell_again,
    "portal_tickets_differ": repair_portal.tell_again,
}

Became = Literal["would", "done", "gone", "refused", "unknown", "person"]
READ_ONLY = "this account may only read: give AUDIT_* accounts that may write (docs/money.md, Reconciliation)"
READ_ONLY_ERRNOS = (1142, 1227, 1290, 1792)


@dataclass(frozen=True)
class Repaired:
    """What became of one difference. ``said``: for people."""

    difference: Difference
    became: Became
    said: str


async def repair_all(
    hands: Hands, round_: Round, differences: Sequence[Difference], kinds: Sequence[str], *, really: bool
) -> list[Repaired]:
    """Those of ``kinds``, all when none is named, in the order of the table: money and seats before what is shown."""
    order = {kind: place for place, kind in enumerate(KINDS)}
    wanted = sorted((one for one in differences if not kinds or one.kind in kinds), key=lambda one: order[one.kind])
    return [await repair(hands, round_, one, really=really) for one in wanted]


async def repair(hands: Hands, round_: Round, one: Difference, *, really: bool) -> Repaired:
    kind = KINDS[one.kind]
    if kind.by == "person":
        return Repaired(one, "person", kind.repair)
    if not really:
        return Repaired(one, "would", kind.repair)
    try:
        if one.order_id is None:
            return Repaired(one, "done", await REPAIRS[one.kind](hands, one, None))
        if one.key not in {other.key for other in await round_.again([one.order_id])}:
            return Repaired(one, "gone", "it is no longer so")
        (deal,) = await round_.looking.deals([one.order_id])
        return Repaired(one, "done", await REPAIRS[one.kind](hands, one, deal))
    except RepairRefused as refused:
        return Repaired(one, "refused", str(refused))
    except Indefinite as error:
        return Repaired(one, "unknown", f"nobody said whether it was done: look again ({error})")
    except (Unavailable, Retryable) as error:
        return Repaired(one, "refused", f"nothing was done: {error}")
    except asyncpg.PostgresError as error:
        read_only = isinstance(error, asyncpg.ReadOnlySQLTransactionError | asyncpg.InsufficientPrivilegeError)
        return Repaired(one, "refused", READ_ONLY if read_only else f"nothing was done: {error}")
    except pymysql.err.Error as error:
        read_only = bool(error.args) and error.args[0] in READ_ONLY_ERRNOS
        return Repaired(one, "refused", READ_ONLY if read_only else f"nothing was done: {error}")
