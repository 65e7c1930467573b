"""Whatever comes over the wire, it is understood, or it is one of the port's errors; and one changed byte is seen."""

import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from billing.providers import mercadopago_shapes as mercadopago
from billing.providers import stripe_shapes as stripe
from billing.providers.http import HttpAnswer, decode
from billing.providers.mercadopago import MercadoPagoProvider
from billing.providers.port import BadSignature, NotUnderstood, Provider, ProviderError
from billing.providers.stripe import StripeProvider
from tests.unit.billing.test_provider_mercadopago import payment
from tests.unit.billing.test_provider_signatures import (
    MP_BODY,
    MP_NEW,
    NOW,
    REQUEST_ID,
    STRIPE_BODY,
    STRIPE_NEW,
)
from tests.unit.billing.test_provider_stripe import intent

STRANGE: list[Any] = [None, True, 0, -1, 10**30, 1.5, 1e300, "", "\u0000", "EUR", "9" * 400, [], {}, [[]], {"id": {}}]


@pytest.fixture
def dice() -> random.Random:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def changed(body: Any, dice: random.Random) -> bytes:
    """``body`` as JSON with one to three members replaced or missing, and now and then a byte."""
    body = dict(body)
    for _ in range(dice.randint(1, 3)):
        name = dice.choice(list(body) or ["id"])
        if dice.random() < 0.2:
            body.pop(name, None)
        else:
            body[name] = dice.choice(STRANGE)
    content = bytearray(msgspec.json.encode(body))
    if dice.random() < 0.3:
        content[dice.randrange(len(content))] = dice.randrange(256)
    return bytes(content)


def stripe_intent(body: bytes, status: int) -> None:
    stripe.authorization(decode(stripe.accepted(HttpAnswer(status, {}, body)), stripe.Intent))


def stripe_error(body: bytes, _status: int) -> None:
    stripe.accepted(HttpAnswer(402, {}, body))


def mercadopago_payment(body: bytes, status: int) -> None:
    mercadopago.authorization(decode(mercadopago.accepted(HttpAnswer(status, {}, body)), mercadopago.Payment))


def mercadopago_error(body: bytes, _status: int) -> None:
    mercadopago.accepted(HttpAnswer(400, {}, body))


READERS: list[tuple[Any, Callable[[bytes, int], None]]] = [
    (intent(), stripe_intent),
    ({"error": {"type": "card_error", "code": "x"}}, stripe_error),
    (payment(), mercadopago_payment),
    ({"error": "bad_request", "cause": [{"code": 1}]}, mercadopago_error),
]


@pytest.mark.parametrize(("body", "read"), READERS)
def test_an_answer_is_understood_or_is_one_of_the_ports_errors(
    body: Any, read: Callable[[bytes, int], None], dice: random.Random
) -> None:
    for _ in range(2000):
        with suppress(ProviderError):
            read(changed(body, dice), dice.choice([200, 201, 200, 302, 400, 402, 404, 409, 418, 429, 500]))


def test_one_changed_byte_of_a_signed_body_is_seen(dice: random.Random) -> None:
    provider = StripeProvider("http://nowhere", "sk", webhook_secrets=["whsec_new"])
    headers = {"Stripe-Signature": f"t={NOW},v1={STRIPE_NEW}"}
    for _ in range(500):
        body = bytearray(STRIPE_BODY)
        body[dice.randrange(len(body))] ^= dice.randrange(1, 256)
        with pytest.raises(BadSignature, match="wrong"):
            provider.verify(headers, bytes(body), NOW)


def test_any_header_and_body_is_refused_in_the_ports_words(dice: random.Random) -> None:
    sides: list[tuple[Provider, bytes, str, str]] = [
        (StripeProvider("http://nowhere", "sk", webhook_secrets=["whsec_new"]), STRIPE_BODY, STRIPE_NEW, "t"),
        (
            MercadoPagoProvider("http://nowhere", "k", currency="BRL", webhook_secrets=["whsec_new"]),
            MP_BODY,
            MP_NEW,
            "ts",
        ),
    ]
    for _ in range(2000):
        provider, good, digest, time = dice.choice(sides)
        text = list(f"{time}={NOW},v1={digest}")
        for _ in range(dice.randint(1, 4)):
            text[dice.randrange(len(text))] = dice.choice(["", ",", "=", "\u00e9", "\udc80", "9", " ", "v1=", "t="])
        headers = {"Stripe-Signature": "".join(text), "x-signature": "".join(text), "x-request-id": REQUEST_ID}
        body = good if dice.random() < 0.5 else changed(msgspec.json.decode(good), dice)
        try:
            provider.verify(headers, body, NOW)
        except (BadSignature, NotUnderstood):
            continue
        assert body == good or provider.name == "mercadopago"  # of whose body the id alone is signed
