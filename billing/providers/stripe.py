"""The provider port over Stripe: PaymentIntents with manual capture, and Checkout for redirects.

How ``fetch`` finds a payment by our reference. Stripe's search is up to a minute behind (an hour in outages), which is
too late for a payment that timed out five seconds ago; its lists are never behind, but are not by metadata. So each of
our payments has a customer of its own at Stripe, made first, under a key and with parameters that follow from the
reference alone: to repeat that request gives the customer's id again, and the list of his PaymentIntents is the truth.
Stripe keeps keys for 24 hours at least. What is older than ``KEYS_KEPT_S`` is searched for by metadata: by then the
search has caught up.

An answer of 5xx is kept under its key, too, and repeated word for word (``Idempotent-Replayed``). Capture and cancel
are then asked for under the next key: a PaymentIntent is captured or cancelled once, whatever the key. A refund is
looked up by its own key, kept in its metadata, before it is asked for again.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from billing.providers import stripe_forms as forms
from billing.providers.http import TIMEOUT_S, HttpAnswer, ProviderHttp, bounded, decode, reading, segment
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
from billing.providers.signatures import check_timestamped, header
from billing.providers.stripe_shapes import (
    Intent,
    IntentList,
    Named,
    Refund,
    RefundList,
    Session,
    accepted,
    authorization,
)
from billing.providers.stripe_webhook import event_of

VERSION = "2024-06-20"  # the shapes of this release; Stripe keeps serving a version that is asked for
KEYS_KEPT_S = 72_000  # 20 h, of the 24 h that Stripe promises
KEYS_MAX = 4  # keys tried for one action whose first ones had 5xx for an answer
REPLAYED = "Idempotent-Replayed"


class StripeProvider:
    """``url``: https://api.stripe.com. ``webhook_secrets``: any of them may have signed. ``return_url``: where the
    buyer comes back from Checkout."""

    name = "stripe"

    def __init__(
        self,
        url: str,
        key: str,
        *,
        webhook_secrets: Sequence[str] = (),
        return_url: str | None = None,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}", "Stripe-Version": VERSION}
        self.http = ProviderHttp(url, headers, timeout_s=timeout_s)
        self._secrets = tuple(webhook_secrets)
        self._return_url = return_url
        self._clock = clock

    async def open(self) -> None:
        await self.http.open()

    async def close(self) -> None:
        await self.http.close()

    @bounded
    async def authorize(self, *, reference: str, amount_minor: int, currency: str, card_token: str) -> Authorization:
        payer = await self._customer(reference)
        form = forms.payment(reference, payer, amount_minor, currency, card_token)
        intent = decode(accepted(await self._post("/v1/payment_intents", reference, form)), Intent)
        try:
            made = authorization(intent)
        except ProviderUnavailable as error:
            raise ProviderIndefinite(str(error)) from error
        if made is None or made.state == "declined":
            raise Declined(intent.status if made is None else made.reason or "declined")
        return made

    @bounded
    async def begin(
        self, *, reference: str, amount_minor: int, currency: str, expires_s: int = REDIRECT_EXPIRY_S
    ) -> Redirect:
        if self._return_url is None:
            raise Refused("no_return_url")
        payer, from_s = await self._customer(reference), begun_s(reference, int(self._clock()))
        form = forms.session(reference, payer, amount_minor, currency, self._return_url, from_s, expires_s)
        made = decode(_done(await self._insist("/v1/checkout/sessions", f"{reference}:begin", form)), Session)
        return Redirect(made.url, made.expires_at * 1_000_000, captures_at_once=False)

    @bounded
    async def capture(self, authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        known = await self._intent(authorization_id)
        form = forms.capture(amount_minor, known.currency.upper())
        return await self._act(f"/v1/payment_intents/{segment(authorization_id)}/capture", key, form)

    @bounded
    async def void(self, authorization_id: str, *, key: str) -> Authorization:
        try:
            return await self._act(f"/v1/payment_intents/{segment(authorization_id)}/cancel", key, forms.EXPAND)
        except Refused:
            found = await self.read(authorization_id)
            if found is not None and found.state == "voided":
                return found
            raise

    @bounded
    async def refund(self, authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        known = await self._intent(authorization_id)
        form = forms.refund(authorization_id, amount_minor, known.currency.upper(), key)
        answer = await self._post("/v1/refunds", key, form)
        nth = 1
        while _burnt(answer) and nth < KEYS_MAX:
            if await self._refunded(authorization_id, key):
                return await self._after(authorization_id)
            answer = await self._post("/v1/refunds", _nth(key, nth), form)
            nth += 1
        made = decode(_done(answer), Refund)
        if made.status in ("failed", "canceled"):
            raise Refused(f"refund_{made.status}")
        return _known(made.payment_intent)

    async def fetch(self, reference: str) -> Authorization | None:
        found = await self.fetch_all(reference)
        return found[0] if found else None

    @bounded
    async def fetch_all(self, reference: str) -> list[Authorization]:
        try:
            if self._keys_kept(reference):
                payer = await self._customer(reference)
                intents = await self._list("/v1/payment_intents", forms.by_customer(payer))
            else:
                listed = await self._list("/v1/payment_intents/search", forms.by_reference(reference))
                intents = [await self._intent(one.id) for one in listed]  # what is listed there may be out of date
        except (ProviderIndefinite, Refused) as error:
            raise reading(error) from error
        return best_first([made for intent in intents if (made := authorization(intent)) is not None])

    @bounded
    async def read(self, authorization_id: str) -> Authorization | None:
        try:
            return authorization(await self._intent(authorization_id))
        except Refused as error:
            if str(error) == "resource_missing":
                return None
            raise reading(error) from error

    def verify(self, headers: Mapping[str, str], body: bytes, now_s: int) -> WebhookEvent:
        check_timestamped(self._secrets, header(headers, "Stripe-Signature"), body, now_s)
        return event_of(body)

    async def _customer(self, reference: str) -> str:
        """The customer of this one payment. Nothing can be charged by this, so its failure is definite."""
        try:
            answer = await self._insist("/v1/customers", f"{reference}:customer", forms.customer(reference))
            return decode(_done(answer), Named).id
        except ProviderIndefinite as error:
            raise reading(error) from error

    async def _intent(self, intent_id: str) -> Intent:
        """Raises Refused, ProviderUnavailable."""
        try:
            answer = await self.http.call("GET", f"/v1/payment_intents/{segment(intent_id)}", params=forms.EXPAND)
            return decode(_done(answer), Intent)
        except ProviderIndefinite as error:
            raise reading(error) from error

    async def _list(self, path: str, query: Mapping[str, str]) -> list[Intent]:
        return decode(_done(await self.http.call("GET", path, params=query)), IntentList).data

    async def _refunded(self, intent_id: str, key: str) -> bool:
        """Whether the refund of this key has been made. Raises ProviderIndefinite: we still do not know."""
        query = {"payment_intent": intent_id, "limit": "100"}
        try:
            answer = await self.http.call("GET", "/v1/refunds", params=query)
            refunds = decode(_done(answer), RefundList).data
        except ProviderUnavailable as error:
            raise ProviderIndefinite(str(error)) from error
        return any(
            (one.metadata or {}).get("key") == key and one.status not in ("failed", "canceled") for one in refunds
        )

    async def _after(self, intent_id: str) -> Authorization:
        """As it stands after what we know has been done: no failure to read that is definite."""
        try:
            return _known(await self._intent(intent_id))
        except (Refused, ProviderUnavailable) as error:
            raise ProviderIndefinite(str(error)) from error

    async def _act(self, path: str, key: str, form: Mapping[str, str]) -> Authorization:
        return _known(decode(_done(await self._insist(path, key, form)), Intent))

    async def _insist(self, path: str, key: str, form: Mapping[str, str]) -> HttpAnswer:
        """For what may be asked for under several keys, always in the same order."""
        answer = await self._post(path, key, form)
        nth = 1
        while _burnt(answer) and nth < KEYS_MAX:
            try:
                answer = await self._post(path, _nth(key, nth), form)
            except ProviderUnavailable as error:  # this one was not sent; what the first did, nobody knows
                raise ProviderIndefinite(str(error)) from error
            nth += 1
        return answer

    async def _post(self, path: str, key: str, form: Mapping[str, str]) -> HttpAnswer:
        return await self.http.call("POST", path, headers={"Idempotency-Key": key}, data=form)

    def _keys_kept(self, reference: str) -> bool:
        """Whether a key that was first used when the payment began is still known to Stripe."""
        return begun_s(reference, 0) > int(self._clock()) - KEYS_KEPT_S


def _done(answer: HttpAnswer) -> bytes:
    """Where no card is asked, a card error is a refusal like any other."""
    try:
        return accepted(answer)
    except Declined as error:
        raise Refused(str(error)) from error


def _burnt(answer: HttpAnswer) -> bool:
    """The key will say 5xx for ever."""
    return answer.status >= 500 and answer.headers.get(REPLAYED) == "true"


def _nth(key: str, nth: int) -> str:
    return key if nth == 0 else f"{key}:{nth + 1}"


def _known(intent: Intent) -> Authorization:
    """After an action that succeeded something stands in it."""
    try:
        made = authorization(intent)
    except ProviderUnavailable as error:
        raise ProviderIndefinite(str(error)) from error
    if made is None:
        raise ProviderIndefinite(f"{intent.id} is {intent.status}")
    return made
