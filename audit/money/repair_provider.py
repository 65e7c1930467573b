"""Repairs at the payment provider, under the keys that billing's workers use for the same: both at once do it once."""

from collections.abc import Awaitable
from typing import TypeVar

from audit.money.hands import Hands, RepairRefused
from audit.money.judge_provider import extra_of, refunds_of
from audit.money.sides import Deal, Difference
from billing.payments.giving_back import give_back as everything_back
from billing.providers.port import Authorization, Provider, ProviderError, ProviderIndefinite
from ticketflow.runtime.errors import Indefinite

T = TypeVar("T")


async def give_back(hands: Hands, one: Difference, _: Deal) -> str:
    """Afterwards nothing of the authorisation is set aside or kept."""
    provider = _provider(hands)
    found = await _read(provider, one.id_of("authorization"))
    what = "voided" if found.state == "authorized" else f"refunded {found.kept_minor}"
    await hands.note(one, f"giving back: {found.state}, {found.kept_minor} kept")
    await _asked(everything_back(provider, found))
    return f"{what} at the provider"


async def refund_missing(hands: Hands, one: Difference, deal: Deal) -> str:
    provider = _provider(hands)
    assert deal.order is not None
    found = await _read(provider, one.id_of("authorization"))
    payment = next(payment for payment in deal.order.payments if payment.payment_id == one.id_of("payment"))
    refunds_minor, _ = refunds_of(deal.order, payment.payment_id)
    due_minor = refunds_minor + extra_of(payment, found.captured_minor)
    return await _refund_up_to(hands, one, provider, found, due_minor)


async def refund_extra(hands: Hands, one: Difference, deal: Deal) -> str:
    """What was taken too much. While a refund of the payment waits, its worker would take this for that one's money."""
    provider = _provider(hands)
    assert deal.order is not None
    payment_id = one.id_of("payment")
    if any(r.payment_id == payment_id and r.state != "REFUNDED" for r in deal.order.refunds):
        raise RepairRefused("a refund of this payment is under way or refused: wait for it, or decide about it")
    payment = next(payment for payment in deal.order.payments if payment.payment_id == payment_id)
    found = await _read(provider, one.id_of("authorization"))
    refunds_minor, _ = refunds_of(deal.order, payment_id)
    due_minor = refunds_minor + extra_of(payment, found.captured_minor)
    return await _refund_up_to(hands, one, provider, found, due_minor)


async def _refund_up_to(hands: Hands, one: Difference, provider: Provider, found: Authorization, due_minor: int) -> str:
    """The key names the sum up to which is refunded, so that a repeat cannot give it twice."""
    missing_minor = due_minor - found.refunded_minor
    if not 0 < missing_minor <= found.kept_minor:
        raise RepairRefused(f"{missing_minor} would have to go back, and {found.kept_minor} are kept there")
    await hands.note(one, f"giving back {missing_minor}: refunded up to {due_minor}")
    key = f"{one.id_of('payment')}:refunded-to:{due_minor}"
    await _asked(provider.refund(found.authorization_id, missing_minor, key=key))
    return f"refunded {missing_minor} at the provider"


def _provider(hands: Hands) -> Provider:
    if hands.provider is None:
        raise RepairRefused("no provider is set up here (AUDIT_PROVIDER_URL, AUDIT_PROVIDER_KEY)")
    return hands.provider


async def _read(provider: Provider, authorization_id: str) -> Authorization:
    found = await _asked(provider.read(authorization_id))
    if found is None:
        raise RepairRefused("the provider does not know it any more")
    return found


async def _asked(call: Awaitable[T]) -> T:
    try:
        return await call
    except ProviderIndefinite as error:
        raise Indefinite(f"the provider: {error}") from error
    except ProviderError as error:
        raise RepairRefused(f"the provider: {type(error).__name__} {error}") from error
