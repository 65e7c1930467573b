"""Repairs of seats: commands and events that are staged again. Reservation's own rules decide what becomes of them."""

import msgspec

from audit.money.hands import Hands, RepairRefused
from audit.money.sides import Deal, Difference
from ticketflow.events import (
    HoldExpired,
    HoldLine,
    HoldPlaced,
    HoldReleased,
    HoldSold,
    Payload,
    SaleReturn,
    SaleSettle,
)

_lines = msgspec.json.Decoder(list[HoldLine])


async def return_all(hands: Hands, one: Difference, deal: Deal) -> str:
    return await hands.command(one, deal.order_id, SaleReturn(hold_id=deal.order_id, return_id=deal.order_id))


async def return_unpaid(hands: Hands, one: Difference, deal: Deal) -> str:
    """Billing has no order of it, or one for which nobody pays: it is to have one that failed."""
    payment_id = deal.hold.payment_id if deal.hold is not None else None
    if payment_id is None or payment_id not in deal.at_provider:
        raise RepairRefused("the provider could not be asked what it keeps for the hold's payment")
    if any(taken.has_money for taken in deal.at_provider[payment_id]):
        raise RepairRefused(
            "the provider has money for it: a person decides whether it is sold (its payment is in a copy of billing's"
            " store), or money_kept_without_tickets gives it back first"
        )
    ended: list[Payload] = [HoldReleased(hold_id=deal.order_id)]
    if deal.order is None:  # without it billing could not hear that the places are back
        ended.insert(0, await _placed(hands, deal))
    told = await hands.tell_from_reservation(one, deal.order_id, ended)
    return f"{told}; {await return_all(hands, one, deal)}"


async def return_refunded(hands: Hands, one: Difference, deal: Deal) -> str:
    wanted = SaleReturn(hold_id=deal.order_id, return_id=one.id_of("refund"), unit_ids=one.ids_of("unit"))
    return await hands.command(one, deal.order_id, wanted)


async def settle_again(hands: Hands, one: Difference, deal: Deal) -> str:
    hold, order = deal.hold, deal.order
    assert hold is not None
    assert order is not None
    if hold.state not in ("HELD", "EXPIRED") or not order.captured:
        raise RepairRefused(f"the hold is {hold.state}: give its buyer other places, or refund the tickets")
    if not all(place.owner == hold.hold_id or place.can_be_had for place in hold.places):
        raise RepairRefused("others have its places: give its buyer other places, or refund the tickets")
    (payment,) = order.captured[:1]
    command = SaleSettle(hold_id=hold.hold_id, payment_id=payment.payment_id, started_at_us=payment.started_at_us)
    return await hands.command(one, hold.hold_id, command)


async def place_again(hands: Hands, one: Difference, deal: Deal) -> str:
    return await hands.tell_from_reservation(one, deal.order_id, [await _placed(hands, deal), *_end(deal)])


async def end_again(hands: Hands, one: Difference, deal: Deal) -> str:
    return await hands.tell_from_reservation(one, deal.order_id, _end(deal))


async def _placed(hands: Hands, deal: Deal) -> HoldPlaced:
    """As it was told when the hold was placed."""
    async with hands.stores.reservation.transaction(snapshot=True) as conn:
        row = await conn.fetchrow(
            """
            SELECT h.event_id::text, e.name AS event_name, h.buyer_id, h.currency, h.total_minor,
                   (extract(epoch FROM h.placed_at) * 1000000)::bigint AS placed_at_us,
                   (extract(epoch FROM h.expires_at) * 1000000)::bigint AS expires_at_us, e.grace_s,
                   hold_lines(h.hold_id) AS lines
              FROM holds AS h JOIN events AS e USING (event_id) WHERE h.hold_id = $1
            """,
            deal.order_id,
        )
    if row is None:
        raise RepairRefused("the hold, or its event, is gone")
    return HoldPlaced(hold_id=deal.order_id, **(dict(row) | {"lines": _lines.decode(row["lines"])}))


def _end(deal: Deal) -> list[Payload]:
    """How the hold ended, as reservation tells it."""
    assert deal.hold is not None
    match deal.hold.state, deal.hold.payment_id:
        case "RELEASED", _:
            return [HoldReleased(hold_id=deal.order_id)]
        case "EXPIRED", _:
            return [HoldExpired(hold_id=deal.order_id)]
        case "SOLD", str(payment_id):
            return [HoldSold(hold_id=deal.order_id, payment_id=payment_id, sold_at_us=0)]
        case _:
            return []
