"""The provider port over Mercado Pago: a preference that the buyer is sent to, or a card's token.

A preference's payment is captured at once, by Mercado Pago's own rule; a card's is set aside first. Both carry our
reference as ``external_reference``, by which they are searched for. The search may be some seconds behind, so what it
finds is read again by its id, and what it does not find is looked for again later (the resolver and its rechecks);
webhooks bring the id itself.

An account has one currency: amounts in another are refused here, since the API for cards would take the number as one
of its own.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from billing.providers import mercadopago_bodies as bodies
from billing.providers.http import TIMEOUT_S, HttpAnswer, ProviderHttp, bounded, decode, reading
from billing.providers.mercadopago_shapes import (
    Payment,
    Preference,
    Refund,
    Search,
    accepted,
    authorization,
)
from billing.providers.mercadopago_webhook import is_payment_id, verified
from billing.providers.port import (
    REDIRECT_EXPIRY_S,
    Authorization,
    Declined,
    ProviderIndefinite,
    ProviderUnavailable,
    Redirect,
    Refused,
    WebhookEvent,
    begun_s,
    best_first,
)

FOUND_MAX = 50  # payments under one reference: each is a buyer's try


class MercadoPagoProvider:
    """``url``: https://api.mercadopago.com. ``currency``: the account's. ``webhook_secrets``: any of them may have
    signed. ``return_url``: where the buyer comes back; ``notify_url``: where notifications go, if not as set up in the
    account. ``payer_email``: sent with cards' tokens, for which an address is demanded and we have none."""

    name = "mercadopago"

    def __init__(
        self,
        url: str,
        key: str,
        *,
        currency: str,
        webhook_secrets: Sequence[str] = (),
        return_url: str | None = None,
        notify_url: str | None = None,
        payer_email: str | None = None,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.http = ProviderHttp(url, {"Authorization": f"Bearer {key}"}, timeout_s=timeout_s)
        self._currency = currency
        self._secrets = tuple(webhook_secrets)
        self._return_url = return_url
        self._notify_url = notify_url
        self._payer_email = payer_email
        self._clock = clock

    async def open(self) -> None:
        await self.http.open()

    async def close(self) -> None:
        await self.http.close()

    @bounded
    async def authorize(self, *, reference: str, amount_minor: int, currency: str, card_token: str) -> Authorization:
        """``card_token``: ``visa:TOKEN``, as the card's form gives the two."""
        self._check(currency)
        wanted = bodies.payment(reference, amount_minor, currency, card_token, self._payer_email, self._notify_url)
        payment = decode(accepted(await self._send("POST", "/v1/payments", reference, wanted)), Payment)
        made = _known(payment)
        if made.state == "declined":
            raise Declined(made.reason or "declined")
        return made

    @bounded
    async def begin(
        self, *, reference: str, amount_minor: int, currency: str, expires_s: int = REDIRECT_EXPIRY_S
    ) -> Redirect:
        self._check(currency)
        from_s = begun_s(reference, int(self._clock()))
        valid_s = (from_s, from_s + expires_s)
        wanted = bodies.preference(reference, amount_minor, currency, valid_s, self._return_url, self._notify_url)
        answer = await self._send("POST", "/checkout/preferences", f"{reference}:begin", wanted)
        made = decode(accepted(answer), Preference)
        return Redirect(made.init_point, valid_s[1] * 1_000_000, captures_at_once=True)

    @bounded
    async def capture(self, authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        return await self._change(authorization_id, key, bodies.capture(amount_minor, self._currency))

    @bounded
    async def void(self, authorization_id: str, *, key: str) -> Authorization:
        try:
            return await self._change(authorization_id, key, bodies.CANCEL)
        except Refused:
            found = await self.read(authorization_id)
            if found is not None and found.state == "voided":
                return found
            raise

    @bounded
    async def refund(self, authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        wanted = bodies.refund(amount_minor, self._currency)
        made = decode(accepted(await self._send("POST", _path(authorization_id, "/refunds"), key, wanted)), Refund)
        if made.status in ("rejected", "cancelled"):
            raise Refused(f"refund_{made.status}")
        try:
            found = await self.read(authorization_id)
        except ProviderUnavailable as error:  # the money is on its way; the same key asks again without moving more
            raise ProviderIndefinite(str(error)) from error
        if found is None:
            raise ProviderIndefinite(f"payment {authorization_id} is gone after its refund")
        return found

    async def fetch(self, reference: str) -> Authorization | None:
        found = await self.fetch_all(reference)
        return found[0] if found else None

    @bounded
    async def fetch_all(self, reference: str) -> list[Authorization]:
        query = {
            "external_reference": reference,
            "sort": "date_created",
            "criteria": "desc",
            "limit": str(FOUND_MAX),
        }
        try:
            answer = await self.http.call("GET", "/v1/payments/search", params=query)
            listed = decode(accepted(answer), Search).results
        except (ProviderIndefinite, Refused) as error:
            raise reading(error) from error
        made: list[Authorization] = []
        undecided: ProviderUnavailable | None = None
        for one in listed:
            try:
                found = await self.read(str(one.id))
            except ProviderUnavailable as error:
                undecided = error
                continue
            if found is not None:
                made.append(found)
        if undecided is not None and not any(one.state in ("authorized", "captured") for one in made):
            raise undecided
        return best_first(made)

    @bounded
    async def read(self, authorization_id: str) -> Authorization | None:
        if not is_payment_id(authorization_id):
            return None
        try:
            answer = await self.http.call("GET", _path(authorization_id))
            if answer.status == 404:
                return None
            return authorization(decode(accepted(answer), Payment))
        except (ProviderIndefinite, Refused) as error:
            raise reading(error) from error

    def verify(self, headers: Mapping[str, str], body: bytes, now_s: int) -> WebhookEvent:
        return verified(self._secrets, headers, body, now_s)

    async def _change(self, authorization_id: str, key: str, wanted: bodies.Body) -> Authorization:
        answer = await self._send("PUT", _path(authorization_id), key, wanted)
        return _known(decode(accepted(answer), Payment))

    async def _send(self, method: str, path: str, key: str, wanted: bodies.Body) -> HttpAnswer:
        headers = {"X-Idempotency-Key": key, "Content-Type": "application/json"}
        return await self.http.call(method, path, headers=headers, data=bodies.json_of(wanted))

    def _check(self, currency: str) -> None:
        if currency != self._currency:
            raise Refused("currency_not_supported")


def _path(authorization_id: str, action: str = "") -> str:
    """Raises Refused for what is no id of Mercado Pago's."""
    if not is_payment_id(authorization_id):
        raise Refused("not_found")
    return f"/v1/payments/{authorization_id}{action}"


def _known(payment: Payment) -> Authorization:
    """What was asked for was accepted: if it is not decided, the outcome is not known."""
    try:
        return authorization(payment)
    except ProviderUnavailable as error:
        raise ProviderIndefinite(str(error)) from error
