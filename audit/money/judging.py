"""The one way to make a Difference of a sale, and all judges together. Pure."""

from collections.abc import Iterable

from audit.money.sides import Deal, Difference

UNITS_SHOWN_MAX = 60  # a hold has 50 places at most


def difference(
    kind: str,
    deal: Deal,
    ids: Iterable[tuple[str, str]] = (),
    detail: str = "",
    amount_minor: int | None = None,
) -> Difference:
    side = deal.order or deal.hold
    return Difference(
        kind,
        deal.event_id,
        deal.order_id,
        tuple(ids)[: 2 * UNITS_SHOWN_MAX],
        detail,
        amount_minor,
        None if amount_minor is None or side is None else side.currency,
    )
