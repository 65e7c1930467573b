"""The provider port over the sandbox's HTTP API."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from billing.providers.http import TIMEOUT_S, HttpAnswer, ProviderHttp, decode, reading, segment
from billing.providers.port import (
    REDIRECT_EXPIRY_S,
    Authorization,
    Declined,
    NotUnderstood,
    ProviderIndefinite,
    ProviderUnavailable,
    Redirect,
    Refused,
    WebhookEvent,
    best_first,
)
from billing.providers.signatures import check_timestamped, header

SIGNATURE = "X-Sandbox-Signature"


class _Authorization(msgspec.Struct):
    authorization_id: str
    state: str
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    reason: str | None = None
    reference: str | None = None
    currency: str | None = None


class _List(msgspec.Struct):
    items: list[_Authorization]


class _Checkout(msgspec.Struct):
    url: str
    expires_at_us: int
    captures_at_once: bool


class _Event(msgspec.Struct):
    event_id: str
    kind: str
    reference: str
    authorization_id: str


class _Error(msgspec.Struct):
    code: str = "unknown"


class SandboxProvider:
    """``webhook_secrets``: any of them may have signed."""

    name = "sandbox"

    def __init__(
        self, url: str, key: str, *, webhook_secrets: Sequence[str] = (), timeout_s: float = TIMEOUT_S
    ) -> None:
        self._http = ProviderHttp(url, {"Authorization": f"Bearer {key}"}, timeout_s=timeout_s)
        self._secrets = tuple(webhook_secrets)

    async def open(self) -> None:
        await self._http.open()

    async def close(self) -> None:
        await self._http.close()

    async def authorize(self, *, reference: str, amount_minor: int, currency: str, card_token: str) -> Authorization:
        wanted = {
            "reference": reference,
            "amount_minor": amount_minor,
            "currency": currency,
            "card_token": card_token,
        }
        answer = await self._post("/v1/authorizations", reference, wanted)
        if answer.status == 402:
            raise Declined(decode(answer.body, _Authorization).reason or "declined")
        return _authorization(decode(_accepted(answer), _Authorization))

    async def begin(
        self, *, reference: str, amount_minor: int, currency: str, expires_s: int = REDIRECT_EXPIRY_S
    ) -> Redirect:
        wanted = {
            "reference": reference,
            "amount_minor": amount_minor,
            "currency": currency,
            "expires_s": expires_s,
        }
        made = decode(_accepted(await self._post("/v1/checkouts", f"{reference}:begin", wanted)), _Checkout)
        return Redirect(made.url, made.expires_at_us, made.captures_at_once)

    async def capture(self, authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        return await self._act(authorization_id, "capture", key, {"amount_minor": amount_minor})

    async def void(self, authorization_id: str, *, key: str) -> Authorization:
        return await self._act(authorization_id, "void", key, {})

    async def refund(self, authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        return await self._act(authorization_id, "refund", key, {"amount_minor": amount_minor})

    async def fetch(self, reference: str) -> Authorization | None:
        found = await self.fetch_all(reference)
        return found[0] if found else None

    async def fetch_all(self, reference: str) -> list[Authorization]:
        try:
            answer = await self._http.call("GET", "/v1/authorizations", params={"reference": reference})
            found = decode(_accepted(answer), _List).items
        except (ProviderIndefinite, Refused) as error:
            raise reading(error) from error
        return best_first([_authorization(item) for item in found])

    async def read(self, authorization_id: str) -> Authorization | None:
        try:
            answer = await self._http.call("GET", f"/v1/authorizations/{segment(authorization_id)}")
            if answer.status == 404:
                return None
            return _authorization(decode(_accepted(answer), _Authorization))
        except (ProviderIndefinite, Refused) as error:
            raise reading(error) from error

    def verify(self, headers: Mapping[str, str], body: bytes, now_s: int) -> WebhookEvent:
        check_timestamped(self._secrets, header(headers, SIGNATURE), body, now_s)
        try:
            event = msgspec.json.decode(body, type=_Event)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise NotUnderstood(str(error)) from error
        return WebhookEvent(event.event_id, event.kind, event.reference, event.authorization_id)

    async def _act(self, authorization_id: str, action: str, key: str, wanted: dict[str, Any]) -> Authorization:
        answer = await self._post(f"/v1/authorizations/{segment(authorization_id)}/{action}", key, wanted)
        return _authorization(decode(_accepted(answer), _Authorization))

    async def _post(self, path: str, key: str, wanted: dict[str, Any]) -> HttpAnswer:
        return await self._http.call("POST", path, headers={"Idempotency-Key": key}, json=wanted)


def _accepted(answer: HttpAnswer) -> bytes:
    """The body of a success; raises what any other answer means."""
    if answer.good:
        return answer.body
    if answer.status in (404, 409, 422):
        code = decode(answer.body, _Error).code
        if code == "key_in_use":  # another request of this key is being served: what it does is not known yet
            raise ProviderIndefinite(code)
        raise Refused(code)
    if 400 <= answer.status < 500:  # a wrong key of ours, or too many requests: nothing was done, no card is to blame
        raise ProviderUnavailable(f"the provider answers {answer.status} {decode(answer.body, _Error).code}")
    raise ProviderIndefinite(f"the provider answers {answer.status}")  # 5xx says nothing about what was done before it


def _authorization(found: _Authorization) -> Authorization:
    return Authorization(
        authorization_id=found.authorization_id,
        state=found.state,  # type: ignore[arg-type]
        amount_minor=found.amount_minor,
        captured_minor=found.captured_minor,
        refunded_minor=found.refunded_minor,
        reason=found.reason,
        reference=found.reference,
        currency=found.currency,
    )
