"""The token that proves ownership of a hold: an HMAC of the hold's id under a key that reservation and billing share.

Derived, not stored: a repeated request gets the same token again, and billing can tell a real hold whose order has
not arrived yet (`order_not_yet`) from an id that never existed, without asking anybody.
"""

import base64
import hmac
from collections.abc import Sequence


def issue(keys: Sequence[str], hold_id: str) -> str:
    """The token of a hold, 43 URL-safe characters, under the first key."""
    return _token(keys[0], hold_id)


def verify(keys: Sequence[str], hold_id: str, token: str) -> bool:
    """Whether ``token`` is the hold's under any of ``keys`` (the first signs, older ones are still accepted)."""
    given = token.encode("utf-8", "replace")
    matches = [hmac.compare_digest(_token(key, hold_id).encode(), given) for key in keys]
    return any(matches)


def _token(key: str, hold_id: str) -> str:
    digest = hmac.digest(key.encode(), b"ticketflow hold " + hold_id.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
