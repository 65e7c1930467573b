"""What a webhook of Stripe is about. No I/O here; whose it is, provider_signatures says."""

from typing import Any

import msgspec

from billing.providers.port import NotUnderstood, WebhookEvent


class _Object(msgspec.Struct):
    """``object``: payment_intent, charge, refund or checkout.session."""

    id: str
    object: str
    metadata: dict[str, str] | None = None
    payment_intent: Any = None  # an id, or the whole
    client_reference_id: str | None = None


class _Data(msgspec.Struct):
    object: _Object


class _Event(msgspec.Struct):
    id: str
    type: str
    data: _Data


def event_of(body: bytes) -> WebhookEvent:
    """Raises NotUnderstood."""
    try:
        event = msgspec.json.decode(body, type=_Event)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotUnderstood(str(error)) from error
    about = event.data.object
    intent = about.id if about.object == "payment_intent" else about.payment_intent
    if isinstance(intent, dict):
        intent = intent.get("id")
    intent_id = intent if isinstance(intent, str) else None
    reference = (about.metadata or {}).get("reference") or about.client_reference_id
    if reference is None and intent_id is None:
        raise NotUnderstood(f"{event.type} tells of no payment")
    return WebhookEvent(event.id, event.type, reference, intent_id)
