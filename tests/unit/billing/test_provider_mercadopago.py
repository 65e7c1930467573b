"""Mercado Pago's wire: what is asked, byte for byte, and what answers in the shapes of its public reference mean."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from billing.providers.mercadopago import MercadoPagoProvider
from billing.providers.port import Authorization, Declined, ProviderIndefinite, ProviderUnavailable, Refused
from tests.support.stub_http import Stub, stub_server

REFERENCE = "019aa724-d400-7000-8000-000000000001"  # made 2025-11-21T16:00:00Z


def payment(status: str = "authorized", detail: str = "pending_capture", **more: Any) -> dict[str, Any]:
    """As the reference shows one, shortened. ``amount`` stands for the amount's very digits."""
    return {
        "id": 1234567890,
        "date_created": "2025-11-21T13:00:02.000-03:00",
        "status": status,
        "status_detail": detail,
        "currency_id": "BRL",
        "transaction_amount": 19.99,
        "transaction_amount_refunded": 0,
        "captured": False,
        "external_reference": REFERENCE,
        "payment_method_id": "visa",
        "payer": {"email": "buyer@example.com"},
    } | more


def error(status: int, name: str, code: int | None = None) -> dict[str, Any]:
    cause = [] if code is None else [{"code": code, "description": "for people", "data": None}]
    return {"message": "for people", "error": name, "status": status, "cause": cause}


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with stub_server() as server:
        yield server


@pytest.fixture
async def mercadopago(stub: Stub) -> AsyncIterator[MercadoPagoProvider]:
    provider = MercadoPagoProvider(
        stub.url,
        "APP_USR-1",
        currency="BRL",
        return_url="https://shop/back",
        notify_url="https://shop/webhooks",
        payer_email="tickets@shop",
        timeout_s=20,
    )
    await provider.open()
    yield provider
    await provider.close()


async def authorize(provider: MercadoPagoProvider, amount_minor: int = 1999) -> Authorization:
    return await provider.authorize(
        reference=REFERENCE, amount_minor=amount_minor, currency="BRL", card_token="visa:ff8080814c11"
    )


async def test_authorising_is_a_payment_that_is_not_captured(stub: Stub, mercadopago: MercadoPagoProvider) -> None:
    stub.then(201, payment())
    assert await authorize(mercadopago) == Authorization(
        "1234567890", "authorized", 1999, reference=REFERENCE, currency="BRL"
    )
    (asked,) = stub.asked
    assert (asked.method, asked.path) == ("POST", "/v1/payments")
    assert asked.headers["x-idempotency-key"] == REFERENCE
    assert asked.headers["authorization"] == "Bearer APP_USR-1"
    assert asked.headers["content-type"] == "application/json"
    assert b'"transaction_amount":19.99,' in asked.body
    assert {name: value for name, value in asked.json.items() if name != "transaction_amount"} == {
        "token": "ff8080814c11",
        "payment_method_id": "visa",
        "payer": {"email": "tickets@shop"},
        "installments": 1,
        "capture": False,
        "binary_mode": True,
        "external_reference": REFERENCE,
        "description": "Tickets",
        "notification_url": "https://shop/webhooks",
    }


@pytest.mark.parametrize(
    ("amount_minor", "digits"), [(1, "0.01"), (29, "0.29"), (100, "1.00"), (4503599627370497, "45035996273704.97")]
)
async def test_amounts_have_the_currencys_digits_and_no_others(
    stub: Stub, mercadopago: MercadoPagoProvider, amount_minor: int, digits: str
) -> None:
    """The last is more than a binary fraction of 64 bits can tell apart."""
    body = b'{"id":7,"status":"authorized","currency_id":"BRL","transaction_amount":%s}' % digits.encode()
    stub.then(201, body)
    assert (await authorize(mercadopago, amount_minor)).amount_minor == amount_minor
    assert b'"transaction_amount":%s,' % digits.encode() in stub.asked[0].body


@pytest.mark.parametrize("detail", ["cc_rejected_insufficient_amount", "cc_rejected_high_risk"])
async def test_a_declined_card(stub: Stub, mercadopago: MercadoPagoProvider, detail: str) -> None:
    stub.then(201, payment("rejected", detail))
    with pytest.raises(Declined, match=detail):
        await authorize(mercadopago)


ERRORS: list[tuple[int, Any, type[Exception], str]] = [
    (400, error(400, "bad_request", 2006), Refused, "bad_request:2006"),
    (400, {"message": "x", "error": "bad_request", "cause": None}, Refused, "bad_request"),
    (404, error(404, "not_found", 2000), Refused, "not_found:2000"),
    (401, error(401, "unauthorized"), ProviderUnavailable, "401"),
    (403, error(403, "forbidden"), ProviderUnavailable, "403"),
    (429, error(429, "too_many_requests"), ProviderUnavailable, "429"),
    (409, error(409, "conflict"), ProviderIndefinite, "409"),
    (500, error(500, "internal_server_error"), ProviderIndefinite, "500"),
    (504, b"<html>", ProviderIndefinite, "504"),
    (201, b"<html>", ProviderIndefinite, "shape"),
    (201, payment("in_process", "pending_review_manual"), ProviderIndefinite, "in_process"),
    (201, payment(transaction_amount=19.999), ProviderIndefinite, "19.999"),
    (201, payment(currency_id="???"), ProviderIndefinite, "answers"),
]


@pytest.mark.parametrize(("status", "body", "raised", "says"), ERRORS)
async def test_what_else_may_be_answered(
    stub: Stub, mercadopago: MercadoPagoProvider, status: int, body: Any, raised: type[Exception], says: str
) -> None:
    stub.then(status, body)
    with pytest.raises(raised, match=says):
        await authorize(mercadopago)


STATES: list[tuple[dict[str, Any], tuple[str, int, int]]] = [
    (payment(), ("authorized", 0, 0)),
    (payment("approved", "accredited", captured=True), ("captured", 1999, 0)),
    (payment("approved", "partially_refunded", transaction_amount_refunded=5), ("refunded", 1999, 500)),
    (payment("refunded", "refunded", transaction_amount_refunded=19.99), ("refunded", 1999, 1999)),
    (payment("charged_back", "settled"), ("refunded", 1999, 1999)),
    (payment("in_mediation", "pending"), ("captured", 1999, 0)),
    (payment("cancelled", "by_collector"), ("voided", 0, 0)),
    (payment("rejected", "cc_rejected_other_reason"), ("declined", 0, 0)),
]


@pytest.mark.parametrize(("body", "meant"), STATES)
async def test_how_a_payment_stands(
    stub: Stub, mercadopago: MercadoPagoProvider, body: Any, meant: tuple[str, int, int]
) -> None:
    stub.then(200, body)
    found = await mercadopago.read("1234567890")
    assert found is not None
    assert (found.state, found.captured_minor, found.refunded_minor) == meant
    assert (stub.asked[0].method, stub.asked[0].path) == ("GET", "/v1/payments/1234567890")


@pytest.mark.parametrize("status", ["pending", "in_process", "something_new"])
async def test_what_is_not_decided_is_asked_for_later(
    stub: Stub, mercadopago: MercadoPagoProvider, status: str
) -> None:
    stub.then(200, payment(status))
    with pytest.raises(ProviderUnavailable):
        await mercadopago.read("1234567890")


async def test_fetching_searches_by_our_reference_and_reads_what_it_finds(
    stub: Stub, mercadopago: MercadoPagoProvider
) -> None:
    paging = {"total": 2, "limit": 50, "offset": 0}
    stub.then(200, {"paging": paging, "results": [payment("rejected", id=2), payment(id=1)]})
    stub.then(200, payment("rejected", "x", id=2)).then(200, payment("approved", "accredited", id=1))
    found = await mercadopago.fetch(REFERENCE)
    assert found is not None
    assert (found.authorization_id, found.state) == ("1", "captured")
    assert [asked.path for asked in stub.asked] == ["/v1/payments/search", "/v1/payments/2", "/v1/payments/1"]
    assert stub.asked[0].query == {
        "external_reference": REFERENCE,
        "sort": "date_created",
        "criteria": "desc",
        "limit": "50",
    }


async def test_a_try_that_is_not_decided_does_not_hide_one_that_paid_but_nothing_else_is_told(
    stub: Stub, mercadopago: MercadoPagoProvider
) -> None:
    both = {"results": [payment(id=2), payment(id=1)]}
    stub.then(200, both).then(200, payment("in_process", id=2)).then(200, payment("approved", id=1))
    assert [one.authorization_id for one in await mercadopago.fetch_all(REFERENCE)] == ["1"]
    stub.then(200, both).then(200, payment("in_process", id=2)).then(200, payment("rejected", id=1))
    with pytest.raises(ProviderUnavailable, match="in_process"):
        await mercadopago.fetch_all(REFERENCE)


async def test_taking_setting_free_and_giving_back(stub: Stub, mercadopago: MercadoPagoProvider) -> None:
    stub.then(200, payment("approved", "accredited"))
    assert (await mercadopago.capture("1234567890", 1999, key="k1")).captured_minor == 1999
    stub.then(200, payment("cancelled", "by_collector"))
    assert (await mercadopago.void("1234567890", key="k2")).state == "voided"
    stub.then(201, {"id": 1009042015, "payment_id": 1234567890, "amount": 5, "status": "approved", "reason": None})
    stub.then(200, payment("approved", "partially_refunded", transaction_amount_refunded=5))
    assert (await mercadopago.refund("1234567890", 500, key="k3")).refunded_minor == 500
    assert [(a.method, a.path, a.headers["x-idempotency-key"], a.body) for a in stub.asked if a.body] == [
        ("PUT", "/v1/payments/1234567890", "k1", b'{"capture":true,"transaction_amount":19.99}'),
        ("PUT", "/v1/payments/1234567890", "k2", b'{"status":"cancelled"}'),
        ("POST", "/v1/payments/1234567890/refunds", "k3", b'{"amount":5.00}'),
    ]


async def test_a_refund_whose_payment_cannot_be_read_afterwards_is_indefinite(
    stub: Stub, mercadopago: MercadoPagoProvider
) -> None:
    stub.then(201, {"id": 1, "status": "approved"}).then(500, b"")
    with pytest.raises(ProviderIndefinite):
        await mercadopago.refund("1234567890", 500, key="k3")


async def test_a_preference_for_a_day(stub: Stub, mercadopago: MercadoPagoProvider) -> None:
    stub.then(201, {"id": "44444-1", "init_point": "https://www.mercadopago.com.br/checkout/v1/redirect?pref_id=1"})
    page = await mercadopago.begin(reference=REFERENCE, amount_minor=1999, currency="BRL")
    assert page.url == "https://www.mercadopago.com.br/checkout/v1/redirect?pref_id=1"
    assert (page.expires_at_us, page.captures_at_once) == ((1_763_740_800 + 86_400) * 1_000_000, True)
    (asked,) = stub.asked
    assert (asked.method, asked.path) == ("POST", "/checkout/preferences")
    assert asked.headers["x-idempotency-key"] == f"{REFERENCE}:begin"
    assert b'"unit_price":19.99}' in asked.body
    wanted = asked.json
    (item,) = wanted.pop("items")
    assert (item["id"], item["quantity"], item["currency_id"]) == (REFERENCE, 1, "BRL")
    assert wanted == {
        "external_reference": REFERENCE,
        "expires": True,
        "expiration_date_from": "2025-11-21T16:00:00.000+00:00",
        "expiration_date_to": "2025-11-22T16:00:00.000+00:00",
        "binary_mode": True,
        "payment_methods": {"excluded_payment_types": [{"id": "ticket"}, {"id": "atm"}], "installments": 1},
        "back_urls": dict.fromkeys(("success", "pending", "failure"), "https://shop/back"),
        "auto_return": "approved",
        "notification_url": "https://shop/webhooks",
    }


async def test_what_is_no_id_of_a_payment_is_never_asked_for(stub: Stub, mercadopago: MercadoPagoProvider) -> None:
    assert await mercadopago.read("pi_1/../2") is None
    with pytest.raises(Refused):
        await mercadopago.capture("1/refunds", 1, key="k")
    assert stub.asked == []
