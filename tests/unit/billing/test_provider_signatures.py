"""Webhooks: whose they are. The digests were made by ``printf ... | openssl dgst -sha256 -hmac SECRET``."""

import pytest

from billing.providers.mercadopago import MercadoPagoProvider
from billing.providers.port import BadSignature, NotUnderstood, Provider, WebhookEvent
from billing.providers.sandbox import SandboxProvider
from billing.providers.signatures import TOLERANCE_S
from billing.providers.stripe import StripeProvider

NOW = 1_700_000_000
STRIPE_BODY = (
    b'{"id":"evt_1","object":"event","type":"payment_intent.succeeded","data":{"object":'
    b'{"id":"pi_1","object":"payment_intent","metadata":{"reference":"pay-1"}}}}'
)
STRIPE_NEW = "7a8104432da05b3ae801d4f0e75d49331aca02499a5ca2593700aa25463182b4"  # by whsec_new
STRIPE_OLD = "52163c966246ad3bdfbfe82321c277a608cb157452b68611d35465a8d02299c2"  # by whsec_old
SANDBOX_BODY = b'{"event_id":"evt_2","kind":"captured","reference":"pay-2","authorization_id":"auth_2"}'
SANDBOX_NEW = "bd31ea4914846c46b6c62eb30902c8894472d2a12cc6033553fcceed44128809"
REQUEST_ID = "f7b2a1d4-0b1c-4ec2-aaaa-9e8b1d2f3c4d"
MP_BODY = b'{"id":112233,"type":"payment","action":"payment.updated","api_version":"v1","data":{"id":"1234567890"}}'
MP_NEW = "31eda1a054f053dd7ec9dc0336f3fc0b23adf5cc73678eb88c81d1431b8f236f"
MP_OLD = "37088d6c88edd8988f6d7b455ecb471d0b61ae148541028a84b0e910062076e5"
MP_MILLISECONDS = "0138d138f953e4177ef0d0750db35b683ac481bca1de24017be5326fcace03d2"
MP_NO_REQUEST_ID = "7b721d34ea0b5a646baddaf96c01f33866a6dcf310cd158d2fd61033dad68f5e"

STRIPE = WebhookEvent("evt_1", "payment_intent.succeeded", "pay-1", "pi_1")
MERCADOPAGO = WebhookEvent(f"1234567890:{REQUEST_ID}", "payment.updated", None, "1234567890")


def stripe(*secrets: str) -> Provider:
    return StripeProvider("http://nowhere", "sk", webhook_secrets=secrets)


def mercadopago(*secrets: str) -> Provider:
    return MercadoPagoProvider("http://nowhere", "key", currency="BRL", webhook_secrets=secrets)


def stripe_says(signature: str | None, *, now_s: int = NOW, secrets: tuple[str, ...] = ("whsec_new",)) -> WebhookEvent:
    headers = {} if signature is None else {"stripe-signature": signature}
    return stripe(*secrets).verify(headers, STRIPE_BODY, now_s)


def mercadopago_says(
    signature: str,
    *,
    body: bytes = MP_BODY,
    request_id: str | None = REQUEST_ID,
    now_s: int = NOW,
    secrets: tuple[str, ...] = ("whsec_new",),
) -> WebhookEvent:
    headers = {"X-Signature": signature} | ({"X-Request-Id": request_id} if request_id else {})
    return mercadopago(*secrets).verify(headers, body, now_s)


def test_a_well_signed_event_says_what_it_is_about() -> None:
    assert stripe_says(f"t={NOW},v1={STRIPE_NEW}") == STRIPE
    assert mercadopago_says(f"ts={NOW},v1={MP_NEW}") == MERCADOPAGO
    sandbox = SandboxProvider("http://nowhere", "key", webhook_secrets=["whsec_new"])
    headers = {"x-sandbox-signature": f"t={NOW},v1={SANDBOX_NEW}"}
    assert sandbox.verify(headers, SANDBOX_BODY, NOW) == WebhookEvent("evt_2", "captured", "pay-2", "auth_2")


def test_mercado_pago_signs_in_seconds_or_milliseconds_with_or_without_the_requests_id() -> None:
    assert mercadopago_says(f"ts={NOW}123,v1={MP_MILLISECONDS}") == MERCADOPAGO
    without = mercadopago_says(f"ts={NOW},v1={MP_NO_REQUEST_ID}", request_id=None)
    assert without.provider_event_id == f"1234567890:{NOW}"


@pytest.mark.parametrize("signature", [f"t={NOW},v1={STRIPE_OLD},v1={STRIPE_NEW}", f"t={NOW},v1={STRIPE_OLD}"])
@pytest.mark.parametrize("secrets", [("whsec_old",), ("whsec_new", "whsec_old"), ("whsec_old", "whsec_new")])
def test_while_secrets_are_changed_any_of_either_side_will_do(signature: str, secrets: tuple[str, ...]) -> None:
    assert stripe_says(signature, secrets=secrets) == STRIPE


def test_while_mercado_pagos_secret_is_changed_the_old_one_is_taken_too() -> None:
    assert mercadopago_says(f"ts={NOW},v1={MP_OLD}", secrets=("whsec_new", "whsec_old")) == MERCADOPAGO


@pytest.mark.parametrize("late_s", [-TOLERANCE_S, 0, TOLERANCE_S])
def test_within_the_tolerance_our_clocks_may_differ(late_s: int) -> None:
    assert stripe_says(f"t={NOW},v1={STRIPE_NEW}", now_s=NOW + late_s) == STRIPE
    assert mercadopago_says(f"ts={NOW},v1={MP_NEW}", now_s=NOW + late_s) == MERCADOPAGO


@pytest.mark.parametrize(("late_s", "code"), [(TOLERANCE_S + 1, "too_old"), (-TOLERANCE_S - 1, "from_the_future")])
def test_a_recorded_request_is_of_no_use_later(late_s: int, code: str) -> None:
    with pytest.raises(BadSignature, match=code):
        stripe_says(f"t={NOW},v1={STRIPE_NEW}", now_s=NOW + late_s)
    with pytest.raises(BadSignature, match=code):
        mercadopago_says(f"ts={NOW},v1={MP_NEW}", now_s=NOW + late_s)


def test_a_new_time_on_an_old_signature_does_not_fit() -> None:
    with pytest.raises(BadSignature, match="wrong"):
        stripe_says(f"t={NOW + 900},v1={STRIPE_NEW}", now_s=NOW + 900)
    with pytest.raises(BadSignature, match="wrong"):
        mercadopago_says(f"ts={NOW + 900},v1={MP_NEW}", now_s=NOW + 900)


def test_another_body_does_not_fit() -> None:
    with pytest.raises(BadSignature, match="wrong"):
        stripe("whsec_new").verify({"Stripe-Signature": f"t={NOW},v1={STRIPE_NEW}"}, STRIPE_BODY + b" ", NOW)
    with pytest.raises(BadSignature, match="wrong"):
        mercadopago_says(f"ts={NOW},v1={MP_NEW}", body=MP_BODY.replace(b"1234567890", b"1234567891"))
    with pytest.raises(BadSignature, match="wrong"):
        mercadopago_says(f"ts={NOW},v1={MP_NEW}", request_id="another")


def test_a_repetition_has_the_same_id_whatever_the_unsigned_part_says() -> None:
    """Mercado Pago does not sign the body: who repeats a request cannot make another event of it."""
    changed = MP_BODY.replace(b"112233", b"445566")
    assert mercadopago_says(f"ts={NOW},v1={MP_NEW}", body=changed) == MERCADOPAGO


@pytest.mark.parametrize("secrets", [("whsec_x",), ("",), ("WHSEC_NEW", "whsec_old ")])
def test_a_wrong_secret(secrets: tuple[str, ...]) -> None:
    with pytest.raises(BadSignature, match="wrong"):
        stripe_says(f"t={NOW},v1={STRIPE_NEW}", secrets=secrets)
    with pytest.raises(BadSignature, match="wrong"):
        mercadopago_says(f"ts={NOW},v1={MP_NEW}", secrets=secrets)


def test_without_a_secret_nothing_is_believed() -> None:
    with pytest.raises(BadSignature, match="no_secret"):
        stripe_says(f"t={NOW},v1={STRIPE_NEW}", secrets=())


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (None, "missing"),
        ("", "missing"),
        ("nonsense", "malformed"),
        (f"v1={STRIPE_NEW}", "malformed"),
        (f"t={NOW}", "malformed"),
        (f"t={NOW},v0={STRIPE_NEW}", "malformed"),
        (f"t={NOW},t={NOW},v1={STRIPE_NEW}", "malformed"),
        (f"t=-{NOW},v1={STRIPE_NEW}", "malformed"),
        (f"t=\u0661,v1={STRIPE_NEW}", "malformed"),
        (f"t={'9' * 400},v1={STRIPE_NEW}", "malformed"),
        (f"t={NOW}" + ",v1=x" * 100, "malformed"),
        (f"t={NOW},v1={STRIPE_NEW.upper()}", "wrong"),
        (f"t={NOW},v1=", "wrong"),
        (f"t={NOW},v1=\udcff\u00e9", "wrong"),
    ],
)
def test_what_is_no_signature(signature: str | None, code: str) -> None:
    with pytest.raises(BadSignature, match=code):
        stripe_says(signature)


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[" * 5000, b'{"data":{"id":[]}}'])
def test_mercado_pagos_body_without_an_id_cannot_be_told_whose_it_is(body: bytes) -> None:
    with pytest.raises(BadSignature, match="malformed"):
        mercadopago_says(f"ts={NOW},v1={MP_NEW}", body=body)


def test_signed_but_about_nothing_that_we_know() -> None:
    other = MP_BODY.replace(b'"payment",', b'"plan",')
    with pytest.raises(NotUnderstood):
        mercadopago_says(f"ts={NOW},v1={MP_NEW}", body=other)
