"""Headers by which a webhook shows who sent it. No clock here."""

import hashlib
import hmac
from collections.abc import Sequence


def _hex(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def timestamped(secrets: Sequence[str], body: bytes, now_s: int) -> str:
    """Stripe's scheme, and the sandbox's own: one ``v1`` for each secret."""
    signed = str(now_s).encode() + b"." + body
    return ",".join([f"t={now_s}", *(f"v1={_hex(secret, signed)}" for secret in secrets)])


def mercadopago(secret: str, data_id: str, request_id: str, now_ms: int) -> str:
    """Mercado Pago's ``x-signature``."""
    return f"ts={now_ms},v1={_hex(secret, f'id:{data_id};request-id:{request_id};ts:{now_ms};'.encode())}"
