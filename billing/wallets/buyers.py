"""Who may see and spend a buyer's credits: whoever has the buyer's token."""

from collections.abc import Sequence

from ticketflow.events import buyer_token
from ticketflow.runtime.http import Problem, Request

BUYER_TOKEN_HEADER = "X-Buyer-Token"  # noqa: S105  the header's name
BUYER_PROOF = ("buyer_token_missing", "buyer_token_wrong")


def check_buyer(keys: Sequence[str], request: Request, buyer_id: str) -> None:
    """Raises Problem."""
    token = request.headers.get(BUYER_TOKEN_HEADER)
    if not token:
        raise Problem(401, "buyer_token_missing", f"send the buyer's token in the header {BUYER_TOKEN_HEADER}")
    if not buyer_token.verify(keys, buyer_id, token):
        raise Problem(403, "buyer_token_wrong", f"the token in {BUYER_TOKEN_HEADER} is not this buyer's")
