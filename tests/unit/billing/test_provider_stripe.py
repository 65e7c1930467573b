"""Stripe's wire: what is asked, byte for byte, and what answers in the shapes of its public reference mean."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from billing.providers.port import Authorization, Declined, ProviderIndefinite, ProviderUnavailable, Refused
from billing.providers.stripe import StripeProvider
from billing.providers.stripe_shapes import minor_amount, stripe_amount
from tests.support.stub_http import Stub, stub_server

NOW = 1_763_740_800.0
REFERENCE = "019aa724-d400-7000-8000-000000000001"  # made 2025-11-21T16:00:00Z, which is NOW
CUSTOMER = (200, {"id": "cus_9", "object": "customer"})


def intent(status: str = "requires_capture", **more: Any) -> dict[str, Any]:
    """As the reference shows one, shortened."""
    return {
        "id": "pi_3MtwBw",
        "object": "payment_intent",
        "amount": 1999,
        "amount_capturable": 1999,
        "amount_received": 0,
        "capture_method": "manual",
        "created": 1680800504,
        "currency": "eur",
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {"reference": REFERENCE},
        "status": status,
    } | more


def error(kind: str, **more: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "message": "for people", "doc_url": "https://..."} | more}


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with stub_server() as server:
        yield server


@pytest.fixture
async def stripe(stub: Stub) -> AsyncIterator[StripeProvider]:
    provider = StripeProvider(stub.url, "sk_test_1", return_url="https://shop/back", timeout_s=20, clock=lambda: NOW)
    await provider.open()
    yield provider
    await provider.close()


async def authorize(stripe: StripeProvider, card_token: str = "pm_card_visa") -> Authorization:
    return await stripe.authorize(reference=REFERENCE, amount_minor=1999, currency="EUR", card_token=card_token)


async def test_authorising_makes_a_customer_and_a_confirmed_intent_with_manual_capture(
    stub: Stub, stripe: StripeProvider
) -> None:
    stub.then(*CUSTOMER).then(200, intent())
    assert await authorize(stripe) == Authorization(
        "pi_3MtwBw", "authorized", 1999, reference=REFERENCE, currency="EUR"
    )
    customer, payment = stub.asked
    assert (customer.method, customer.path) == ("POST", "/v1/customers")
    assert customer.form == {"description": f"payment {REFERENCE}", "metadata[reference]": REFERENCE}
    assert (payment.method, payment.path) == ("POST", "/v1/payment_intents")
    assert payment.form == {
        "amount": "1999",
        "currency": "eur",
        "customer": "cus_9",
        "capture_method": "manual",
        "confirm": "true",
        "error_on_requires_action": "true",
        "payment_method_types[]": "card",
        "metadata[reference]": REFERENCE,
        "payment_method": "pm_card_visa",
        "expand[]": "latest_charge",
    }
    for asked, key in ((customer, f"{REFERENCE}:customer"), (payment, REFERENCE)):
        assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
        assert asked.headers["idempotency-key"] == key
        assert asked.headers["authorization"] == "Bearer sk_test_1"
        assert asked.headers["stripe-version"] == "2024-06-20"


async def test_a_cards_token_is_passed_on_as_one(stub: Stub, stripe: StripeProvider) -> None:
    stub.then(*CUSTOMER).then(200, intent())
    await authorize(stripe, card_token="tok_visa")
    form = stub.asked[1].form
    assert (form["payment_method_data[type]"], form["payment_method_data[card][token]"]) == ("card", "tok_visa")
    assert "payment_method" not in form


DECLINES: list[tuple[dict[str, Any], str]] = [
    (error("card_error", code="card_declined", decline_code="insufficient_funds"), "insufficient_funds"),
    (error("card_error", code="expired_card"), "expired_card"),
    (error("card_error", code="authentication_required", decline_code="authentication_required"), "authentication_"),
]


@pytest.mark.parametrize(("body", "reason"), DECLINES)
async def test_a_declined_card(stub: Stub, stripe: StripeProvider, body: Any, reason: str) -> None:
    stub.then(*CUSTOMER).then(402, body)
    with pytest.raises(Declined, match=reason):
        await authorize(stripe)


ERRORS: list[tuple[int, Any, type[Exception], str]] = [
    (400, error("idempotency_error"), Refused, "idempotency_error"),
    (400, error("invalid_request_error", code="amount_too_small", param="amount"), Refused, "amount_too_small"),
    (404, error("invalid_request_error", code="resource_missing"), Refused, "resource_missing"),
    (401, error("invalid_request_error"), ProviderUnavailable, "401"),
    (403, error("invalid_request_error"), ProviderUnavailable, "403"),
    (429, error("invalid_request_error", code="rate_limit"), ProviderUnavailable, "429"),
    (409, error("idempotency_error", code="idempotency_key_in_use"), ProviderIndefinite, "409"),
    (424, error("api_error"), ProviderIndefinite, "424"),
    (500, error("api_error"), ProviderIndefinite, "500"),
    (502, b"<html>", ProviderIndefinite, "502"),
    (400, b"<html>", ProviderIndefinite, "shape"),
    (200, b"<html>", ProviderIndefinite, "shape"),
    (200, intent("processing"), ProviderIndefinite, "processing"),
    (302, b"", ProviderIndefinite, "302"),
]


@pytest.mark.parametrize(("status", "body", "raised", "says"), ERRORS)
async def test_what_else_may_be_answered(
    stub: Stub, stripe: StripeProvider, status: int, body: Any, raised: type[Exception], says: str
) -> None:
    stub.then(*CUSTOMER).then(status, body)
    with pytest.raises(raised, match=says):
        await authorize(stripe)


@pytest.mark.parametrize("status", [500, 409, 429, 401])
async def test_without_a_customer_nothing_is_charged_and_that_is_definite(
    stub: Stub, stripe: StripeProvider, status: int
) -> None:
    stub.then(status, error("api_error"))
    with pytest.raises(ProviderUnavailable):
        await authorize(stripe)


CHARGE = {"id": "ch_1", "object": "charge", "amount_refunded": 0}
STATES: list[tuple[dict[str, Any], Authorization | None]] = [
    (intent(latest_charge=CHARGE), Authorization("pi_3MtwBw", "authorized", 1999, reference=REFERENCE, currency="EUR")),
    (
        intent("succeeded", amount_received=1999, latest_charge=CHARGE),
        Authorization("pi_3MtwBw", "captured", 1999, 1999, 0, reference=REFERENCE, currency="EUR"),
    ),
    (
        intent("succeeded", amount_received=1999, latest_charge=CHARGE | {"amount_refunded": 500}),
        Authorization("pi_3MtwBw", "refunded", 1999, 1999, 500, reference=REFERENCE, currency="EUR"),
    ),
    (
        intent("canceled", latest_charge=CHARGE | {"amount_refunded": 1999}),
        Authorization("pi_3MtwBw", "voided", 1999, 0, 0, reference=REFERENCE, currency="EUR"),
    ),
    (
        intent("requires_payment_method", last_payment_error={"type": "card_error", "code": "expired_card"}),
        Authorization("pi_3MtwBw", "declined", 1999, reason="expired_card", reference=REFERENCE, currency="EUR"),
    ),
    (intent("requires_payment_method"), None),
    (intent("requires_action"), None),
    (intent("requires_confirmation"), None),
]


@pytest.mark.parametrize(("body", "meant"), STATES)
async def test_how_an_intent_stands(stub: Stub, stripe: StripeProvider, body: Any, meant: Authorization | None) -> None:
    stub.then(200, body)
    assert await stripe.read("pi_3MtwBw") == meant
    (asked,) = stub.asked
    assert (asked.method, asked.path) == ("GET", "/v1/payment_intents/pi_3MtwBw")
    assert asked.query == {"expand[]": "latest_charge"}


@pytest.mark.parametrize("status", ["processing", "something_new"])
async def test_what_is_not_decided_is_asked_for_later(stub: Stub, stripe: StripeProvider, status: str) -> None:
    stub.then(200, intent(status))
    with pytest.raises(ProviderUnavailable):
        await stripe.read("pi_3MtwBw")


async def test_fetching_repeats_the_customer_and_lists_his_intents(stub: Stub, stripe: StripeProvider) -> None:
    failed = intent("requires_payment_method", id="pi_2", last_payment_error={"code": "card_declined"})
    stub.then(*CUSTOMER).then(200, {"object": "list", "has_more": False, "data": [failed, intent()]})
    found = await stripe.fetch(REFERENCE)
    assert found is not None
    assert (found.authorization_id, found.state) == ("pi_3MtwBw", "authorized")
    customer, listed = stub.asked
    assert customer.headers["idempotency-key"] == f"{REFERENCE}:customer"
    assert (listed.method, listed.path) == ("GET", "/v1/payment_intents")
    assert listed.query == {"customer": "cus_9", "limit": "100", "expand[]": "data.latest_charge"}
    assert "idempotency-key" not in listed.headers


async def test_what_is_older_than_keys_are_kept_is_searched_for_and_read_again(stub: Stub) -> None:
    stub.then(200, {"object": "search_result", "data": [intent()]}).then(200, intent("canceled"))
    later = StripeProvider(stub.url, "sk_test_1", timeout_s=20, clock=lambda: NOW + 80_000)
    await later.open()
    try:
        found = await later.fetch(REFERENCE)
    finally:
        await later.close()
    assert found is not None
    assert found.state == "voided"
    searched, _ = stub.asked
    assert searched.path == "/v1/payment_intents/search"
    assert searched.query == {"query": f"metadata['reference']:'{REFERENCE}'", "limit": "100"}


async def test_taking_setting_free_and_giving_back(stub: Stub, stripe: StripeProvider) -> None:
    taken = intent("succeeded", amount_received=1999, latest_charge=CHARGE)
    stub.then(200, intent()).then(200, taken)
    assert (await stripe.capture("pi_3MtwBw", 1999, key="k1")).captured_minor == 1999
    stub.then(200, intent("canceled"))
    assert (await stripe.void("pi_3MtwBw", key="k2")).state == "voided"
    back = taken | {"latest_charge": CHARGE | {"amount_refunded": 500}}
    stub.then(200, taken).then(200, {"id": "re_1", "object": "refund", "status": "succeeded", "payment_intent": back})
    assert (await stripe.refund("pi_3MtwBw", 500, key="k3")).refunded_minor == 500
    posts = [(asked.path, asked.headers["idempotency-key"], asked.form) for asked in stub.asked if asked.body]
    assert posts == [
        (
            "/v1/payment_intents/pi_3MtwBw/capture",
            "k1",
            {"amount_to_capture": "1999", "expand[]": "latest_charge"},
        ),
        ("/v1/payment_intents/pi_3MtwBw/cancel", "k2", {"expand[]": "latest_charge"}),
        (
            "/v1/refunds",
            "k3",
            {
                "payment_intent": "pi_3MtwBw",
                "amount": "500",
                "metadata[key]": "k3",
                "expand[]": "payment_intent.latest_charge",
            },
        ),
    ]


async def test_a_refund_that_failed_is_refused(stub: Stub, stripe: StripeProvider) -> None:
    stub.then(200, intent("succeeded")).then(200, {"id": "re_1", "status": "failed", "payment_intent": intent()})
    with pytest.raises(Refused, match="refund_failed"):
        await stripe.refund("pi_3MtwBw", 500, key="k3")


async def test_a_500_that_is_kept_is_got_round_by_the_next_key(stub: Stub, stripe: StripeProvider) -> None:
    stub.then(500, error("api_error"), {"Idempotent-Replayed": "true"}).then(200, intent("canceled"))
    assert (await stripe.void("pi_3MtwBw", key="k")).state == "voided"
    assert [asked.headers["idempotency-key"] for asked in stub.asked] == ["k", "k:2"]


async def test_a_fresh_500_is_not(stub: Stub, stripe: StripeProvider) -> None:
    stub.then(500, error("api_error"))
    with pytest.raises(ProviderIndefinite):
        await stripe.void("pi_3MtwBw", key="k")


async def test_a_checkout_session(stub: Stub, stripe: StripeProvider) -> None:
    expires = int(NOW) + 86_100
    stub.then(*CUSTOMER).then(200, {"id": "cs_1", "url": "https://checkout.stripe.com/c/1", "expires_at": expires})
    page = await stripe.begin(reference=REFERENCE, amount_minor=1999, currency="EUR")
    assert (page.url, page.expires_at_us, page.captures_at_once) == (
        "https://checkout.stripe.com/c/1",
        expires * 1_000_000,
        False,
    )
    asked = stub.asked[1]
    assert (asked.path, asked.headers["idempotency-key"]) == ("/v1/checkout/sessions", f"{REFERENCE}:begin")
    assert asked.form == {
        "mode": "payment",
        "client_reference_id": REFERENCE,
        "customer": "cus_9",
        "metadata[reference]": REFERENCE,
        "payment_intent_data[capture_method]": "manual",
        "payment_intent_data[metadata][reference]": REFERENCE,
        "payment_method_types[]": "card",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "eur",
        "line_items[0][price_data][unit_amount]": "1999",
        "line_items[0][price_data][product_data][name]": "Tickets",
        "success_url": "https://shop/back",
        "cancel_url": "https://shop/back",
        "expires_at": str(expires),
    }


@pytest.mark.parametrize(
    ("minor", "currency", "theirs"),
    [(1999, "EUR", 1999), (500, "JPY", 500), (5, "ISK", 500), (5, "UGX", 500), (500, "MGA", 5), (5120, "KWD", 5120)],
)
def test_stripes_own_digits(minor: int, currency: str, theirs: int) -> None:
    assert stripe_amount(minor, currency) == theirs
    assert minor_amount(theirs, currency) == minor


@pytest.mark.parametrize(("minor", "currency"), [(5124, "KWD"), (501, "MGA"), (1, "ZZZ")])
def test_what_stripe_cannot_express_is_refused_before_it_is_asked(minor: int, currency: str) -> None:
    with pytest.raises(Refused):
        stripe_amount(minor, currency)
