"""The forms that Stripe's API takes, and what is wrong with one. No I/O here."""

from collections.abc import Mapping

from ticketflow.currencies import EXPONENTS

AMOUNT_MAX = 99_999_999  # Stripe's own limit: eight digits
_EXPAND, _REFERENCE = "expand[]", "metadata[reference]"

CUSTOMER = frozenset({"description", _REFERENCE})
CREATE = frozenset(
    {
        "amount",
        "capture_method",
        "confirm",
        "currency",
        "customer",
        "error_on_requires_action",
        "payment_method",
        "payment_method_data[card][token]",
        "payment_method_data[type]",
        "payment_method_types[]",
        _REFERENCE,
        _EXPAND,
    }
)
CAPTURE = frozenset({"amount_to_capture", _EXPAND})
VOID = frozenset({"cancellation_reason", _EXPAND})
REFUND = frozenset({"payment_intent", "amount", "reason", "metadata[key]", _EXPAND})
CHECKOUT = frozenset(
    {
        "cancel_url",
        "client_reference_id",
        "customer",
        "expires_at",
        "line_items[0][price_data][currency]",
        "line_items[0][price_data][product_data][name]",
        "line_items[0][price_data][unit_amount]",
        "line_items[0][quantity]",
        "mode",
        "payment_intent_data[capture_method]",
        "payment_intent_data[metadata][reference]",
        "payment_method_types[]",
        "success_url",
        _REFERENCE,
    }
)


class BadForm(Exception):
    """400 of Stripe's shape."""

    def __init__(self, param: str, message: str, code: str = "parameter_invalid") -> None:
        super().__init__(message)
        self.param, self.code = param, code


class Form:
    """Raises BadForm: a parameter that the endpoint does not know."""

    def __init__(self, fields: Mapping[str, str], allowed: frozenset[str]) -> None:
        for name in fields:
            if name not in allowed:
                raise BadForm(name, f"Received unknown parameter: {name}", "parameter_unknown")
        self._fields = fields

    def get(self, name: str) -> str | None:
        return self._fields.get(name) or None

    def require(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise BadForm(name, f"Missing required param: {name}.", "parameter_missing")
        return value

    def amount(self, name: str) -> int:
        """A whole number."""
        text = self.require(name)
        if not (text.isascii() and text.isdigit() and len(text) <= 15):
            raise BadForm(name, f"Invalid integer: {text}", "parameter_invalid_integer")
        if name != "expires_at" and int(text) > AMOUNT_MAX:
            raise BadForm(name, "Amount must be no more than 999,999.99", "amount_too_large")
        return int(text)

    def currency(self, name: str) -> str:
        """In capitals."""
        text = self.require(name)
        if text.upper() not in EXPONENTS or text != text.lower():
            raise BadForm(name, f"Invalid currency: {text}")
        return text.upper()

    @property
    def reference(self) -> str:
        return self.require(_REFERENCE)

    @property
    def maybe_card(self) -> str | None:
        return self.get("payment_method") or self.get("payment_method_data[card][token]")

    @property
    def card(self) -> str:
        return self.maybe_card or self.require("payment_method")

    def expands(self, what: str) -> bool:
        return self.get(_EXPAND) == what
