"""What the history's codes mean, in a buyer's words."""

from billing.orders.rules import Code

TEXTS: dict[str, str] = {
    Code.ORDER_PENDING: "Your seats are held; the order waits for payment.",
    Code.PAYMENT_STARTED: "A payment was begun.",
    Code.PAYMENT_AUTHORIZED: "Your bank set the money aside; nothing is taken yet.",
    Code.PAYMENT_DECLINED: "Your bank declined the card. Another card may be tried.",
    Code.PAYMENT_FAILED: "The payment did not go through; nothing was charged.",
    Code.HOLD_ENDED: "The hold on your seats ended.",
    Code.SEATS_SOLD: "The seats are yours.",
    Code.SEATS_MOVED: "Your payment came late and your seats were gone: you have others of the same price tier.",
    Code.SEATS_LOST: "The seats could not be sold to you; nothing will be charged.",
    Code.SEATS_RETURNED: "The seats are on sale again.",
    Code.PAYMENT_CAPTURED: "The money was taken.",
    Code.CAPTURE_REFUSED: "The money could not be taken; nothing is kept.",
    Code.PAYMENT_VOIDED: "The money that was set aside is yours again.",
    Code.TICKETS_ISSUED: "Your tickets were issued.",
    Code.ORDER_CONFIRMED: "The order is complete.",
    Code.ORDER_FAILED: "The order ended without a sale; no money is kept.",
    Code.REFUND_REQUESTED: "A refund was decided; the money is on its way back.",
    Code.TICKETS_VOIDED: "The tickets that are refunded admit nobody any more.",
    Code.REFUND_PAID: "The refund was carried out.",
    Code.REFUND_REFUSED: "The refund did not go through yet; it is still owed to you, and somebody looks into it.",
    Code.ORDER_PARTIALLY_REFUNDED: "A part of the order is refunded.",
    Code.ORDER_REFUNDED: "The whole order is refunded.",
    Code.CONTRADICTION: "Something does not fit together; we look into it.",
}

REASONS: dict[str, str] = {
    "released": "you gave the seats back",
    "expired": "its time was over",
    "taken": "they went to somebody else",
    "unknown_hold": "the hold is not known",
    "declined": "the card was declined",
    "capture_refused": "the bank would not pay",
    "tickets_failed": "the tickets could not be issued",
    "replaced": "you chose another way to pay",
    "abandoned": "no answer from the payment provider",
    "as_credits": "as credits, which are yours to spend",
    "provider_unavailable": "the payment provider could not be reached",
}


def text_of(code: str, reason: str | None) -> str:
    """One sentence. A code or reason that this version does not know is shown as it is."""
    text = TEXTS.get(code, code)
    if reason is None or code == Code.CONTRADICTION:
        return text
    return f"{text} ({REASONS.get(reason, reason)})"
