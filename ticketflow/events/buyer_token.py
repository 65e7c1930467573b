"""The token that proves that somebody speaks for a buyer: an HMAC of the buyer's id, under the keys of hold tokens.

Whoever logs buyers in gets it for them (billing's admin API); credits and contacts are theirs alone. Derived, not
stored: it stays good until the keys are replaced.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence


def issue(keys: Sequence[str], buyer_id: str) -> str:
    """The token of a buyer, 43 URL-safe characters, under the first key."""
    return _token(keys[0], buyer_id)


def verify(keys: Sequence[str], buyer_id: str, token: str) -> bool:
    """Whether ``token`` is the buyer's under any of ``keys`` (the first signs, older ones are still accepted)."""
    given = token.encode("utf-8", "replace")
    matches = [hmac.compare_digest(_token(key, buyer_id).encode(), given) for key in keys]
    return any(matches)


def _token(key: str, buyer_id: str) -> str:
    digest = hmac.new(key.encode(), b"ticketflow buyer " + buyer_id.encode("utf-8", "replace"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
