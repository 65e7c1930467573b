"""Mercado Pago's notifications: whose they are, and what they are about. No I/O, no clock here.

Signed are the payment's id, the request's id and the time; the rest of the body is anybody's word. The event's id is
therefore made of what is signed, and of the body only the payment's id is believed, because the signature fits it.
"""

from collections.abc import Mapping, Sequence

import msgspec

from billing.providers.port import BadSignature, NotUnderstood, WebhookEvent
from billing.providers.signatures import check, check_time, elements, header

REQUEST_ID_CHARS_MAX = 128


class _About(msgspec.Struct):
    id: str | int


class _Notification(msgspec.Struct):
    data: _About
    type: str = ""
    action: str = ""


def verified(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now_s: int) -> WebhookEvent:
    """Raises BadSignature, NotUnderstood."""
    digits, digests = elements(header(headers, "x-signature"), time="ts")
    try:
        said = msgspec.json.decode(body, type=_Notification)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadSignature("malformed") from error  # without the id it cannot be told who has signed
    data_id, request_id = str(said.data.id).lower(), header(headers, "x-request-id")
    if request_id is not None and len(request_id) > REQUEST_ID_CHARS_MAX:
        raise BadSignature("malformed")
    manifest = f"id:{data_id};" + (f"request-id:{request_id};" if request_id else "") + f"ts:{digits};"
    check(secrets, manifest.encode("utf-8", "replace"), digests)
    check_time(digits, now_s)
    if said.type != "payment" or not is_payment_id(data_id):
        raise NotUnderstood(f"{said.type or 'nothing'} is no payment")
    return WebhookEvent(f"{data_id}:{request_id or digits}", said.action or said.type, None, data_id)


def is_payment_id(text: str) -> bool:
    return text.isascii() and text.isdigit()
