"""All judges together. Pure."""

from audit.money.judge_ledger import judge_ledger
from audit.money.judge_orders import judge_orders, judge_stuck
from audit.money.judge_portal import judge_portal
from audit.money.judge_provider import judge_provider
from audit.money.judge_seats import judge_seats
from audit.money.limits import Limits
from audit.money.sides import Deal, Difference


def judge(deal: Deal, limits: Limits, late_s: float) -> list[Difference]:
    """``late_s``: the age of the oldest event that is still on its way. Of a sale that has changed since then, and
    within the grace, only what is stuck is told."""
    found = list(judge_stuck(deal, limits))
    if deal.age_s <= limits.grace_s + late_s:
        return found
    return [
        *found,
        *judge_seats(deal, limits),
        *judge_orders(deal, limits),
        *judge_ledger(deal),
        *judge_provider(deal),
        *judge_portal(deal),
    ]
