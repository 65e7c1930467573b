"""What buyers are told, in their words: one table for what happened, one for how a sale ended.

Keyed by the event's kind and its reason; ``None`` stands for every other reason. ``{reason}`` is what a person wrote.
"""

from collections.abc import Mapping

# Why a sale came to nothing, by EndReason. What became of the money is said beside it.
ENDINGS: Mapping[str, str] = {
    "released": "You gave the places back.",
    "expired": "The time to pay was over.",
    "taken": "By the time your payment arrived, somebody else had the places.",
    "unknown_hold": "By the time your payment arrived, your reservation was not to be found any more.",
    "declined": "Your payment was declined.",
    "capture_refused": "Your bank did not let us take the money after all.",
    "tickets_failed": "Your tickets could not be issued.",
}

HISTORY: Mapping[tuple[str, str | None], str] = {
    ("order.pending", None): "Your places were reserved; the payment was still to come.",
    ("payment.authorized", None): "Your payment arrived. The money is kept only when the places are yours.",
    ("payment.declined", None): "Your payment was declined. Nothing was charged.",
    ("payment.declined", "insufficient_funds"): "Your payment was declined: not enough money. Nothing was charged.",
    ("payment.declined", "insufficient"): "Your payment was declined: not enough money. Nothing was charged.",
    (
        "payment.declined",
        "expired_card",
    ): "Your payment was declined: the card is no longer valid. Nothing was charged.",
    ("payment.voided", None): "The money is yours again: nothing of it is kept.",
    ("order.moved", None): "Your payment came late and your places were gone: you got others of the same price tier.",
    ("order.confirmed", None): "The places are yours, and everything is paid.",
    ("ticket.issued", None): "Your tickets were issued.",
    ("ticket.voided", None): "A refund was decided, and its tickets admit nobody any more: {reason}",
    ("order.refunded", None): "Money went back to you: {reason}",
    ("order.failed", None): "Your order ended without tickets. No money is kept.",
    **{
        ("order.failed", reason): f"{ending} The order ended, and no money is kept."
        for reason, ending in ENDINGS.items()
    },
}
UNKNOWN = "Something happened to your order."  # of a kind that this version has no words for


def of(code: str, reason: str | None) -> str:
    """What one event of a sale means to its buyer."""
    text = HISTORY.get((code, reason)) or HISTORY.get((code, None), UNKNOWN)
    return text.replace("{reason}", reason or "no reason was given")


def ending(reason: str | None) -> str:
    """Why a sale came to nothing."""
    return next((text for known, text in ENDINGS.items() if known == reason), "The order could not be completed.")
