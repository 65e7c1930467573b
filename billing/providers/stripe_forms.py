"""What Stripe is asked, as form fields. No I/O here."""

from billing.providers.stripe_shapes import stripe_amount

EXPAND = {"expand[]": "latest_charge"}
SESSION_EXPIRY_S = (2_100, 86_100)  # Checkout takes half an hour to a day from its own now; 5 minutes for our clocks

Form = dict[str, str]


def customer(reference: str) -> Form:
    """From the reference alone, so that whoever has it can repeat the request."""
    return {"description": f"payment {reference}", "metadata[reference]": reference}


def payment(reference: str, customer_id: str, amount_minor: int, currency: str, card_token: str) -> Form:
    """Raises Refused, as all below: an amount that Stripe cannot express."""
    return {
        "amount": str(stripe_amount(amount_minor, currency)),
        "currency": currency.lower(),
        "customer": customer_id,
        "capture_method": "manual",
        "confirm": "true",
        "error_on_requires_action": "true",  # nobody is there to be asked by his bank: that is what Checkout is for
        "payment_method_types[]": "card",
        "metadata[reference]": reference,
        **_card(card_token),
        **EXPAND,
    }


def session(
    reference: str, customer_id: str, amount_minor: int, currency: str, return_url: str, begun_s: int, expires_s: int
) -> Form:
    shortest, longest = SESSION_EXPIRY_S
    return {
        "mode": "payment",
        "client_reference_id": reference,
        "customer": customer_id,
        "metadata[reference]": reference,
        "payment_intent_data[capture_method]": "manual",
        "payment_intent_data[metadata][reference]": reference,
        "payment_method_types[]": "card",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": currency.lower(),
        "line_items[0][price_data][unit_amount]": str(stripe_amount(amount_minor, currency)),
        "line_items[0][price_data][product_data][name]": "Tickets",
        "success_url": return_url,
        "cancel_url": return_url,
        "expires_at": str(begun_s + min(max(expires_s, shortest), longest)),
    }


def capture(amount_minor: int, currency: str) -> Form:
    return {"amount_to_capture": str(stripe_amount(amount_minor, currency)), **EXPAND}


def refund(intent_id: str, amount_minor: int, currency: str, key: str) -> Form:
    """``key`` is kept with the refund, so that it can be found again."""
    return {
        "payment_intent": intent_id,
        "amount": str(stripe_amount(amount_minor, currency)),
        "metadata[key]": key,
        "expand[]": "payment_intent.latest_charge",
    }


def by_customer(customer_id: str) -> Form:
    return {"customer": customer_id, "limit": "100", "expand[]": "data.latest_charge"}


def by_reference(reference: str) -> Form:
    """For the search."""
    quoted = reference.replace("\\", "\\\\").replace("'", "\\'")
    return {"query": f"metadata['reference']:'{quoted}'", "limit": "100"}


def _card(card_token: str) -> Form:
    """A PaymentMethod's id (pm_...), or a token of a card (tok_...)."""
    if card_token.startswith("tok_"):
        return {"payment_method_data[type]": "card", "payment_method_data[card][token]": card_token}
    return {"payment_method": card_token}
