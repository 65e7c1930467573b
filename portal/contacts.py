"""Where mail to a buyer goes: the buyer says so, and shows his token."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from portal import store_mails
from portal.mail_server import ADDRESS_CHARS_MAX, is_address
from ticketflow.events import buyer_token
from ticketflow.runtime.http import Problem, Reply, Request, Route
from ticketflow.runtime.postgres import PostgresPool

TOKEN_HEADER = "X-Buyer-Token"  # noqa: S105 - a name
BUYER_CHARS_MAX = 64
_PROBLEMS = ("buyer_tokens_off", "buyer_token_missing", "buyer_token_wrong", "store_unavailable")


class ContactBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    email: Annotated[str, Meta(max_length=ADDRESS_CHARS_MAX, description="ASCII, without a name or brackets")]


class Contacts:
    """``token_keys``: none, and every request is refused."""

    def __init__(self, pool: PostgresPool, token_keys: Sequence[str]) -> None:
        self._pool = pool
        self._token_keys = token_keys

    def routes(self) -> list[Route]:
        path = "/api/v1/buyers/{buyer}/contact"  # no `buyer_id`: it is opaque, and no id of ours
        return [
            Route(
                method="PUT",
                path=path,
                handler=self.put,
                summary="Where mail to a buyer goes from now on (needs X-Buyer-Token)",
                body=ContactBody,
                status=204,
                problems=("email_invalid", *_PROBLEMS),
                tags=("buyers",),
            ),
            Route(
                method="DELETE",
                path=path,
                handler=self.delete,
                summary="No more mail to a buyer (needs X-Buyer-Token)",
                status=204,
                problems=_PROBLEMS,
                tags=("buyers",),
            ),
        ]

    async def put(self, request: Request) -> Reply:
        buyer_id = self._proven(request)
        email: str = request.body.email
        if not is_address(email):
            raise Problem(422, "email_invalid", "`email` is no address that mail can be sent to, like ann@example.org")
        async with self._pool.transaction() as conn:
            await store_mails.put_contact(conn, buyer_id, email)
        return Reply(204)

    async def delete(self, request: Request) -> Reply:
        buyer_id = self._proven(request)
        async with self._pool.transaction() as conn:
            await store_mails.drop_contact(conn, buyer_id)
        return Reply(204)

    def _proven(self, request: Request) -> str:
        """The buyer who asks. Raises Problem."""
        if not self._token_keys:
            raise Problem(503, "buyer_tokens_off", "this portal was given no keys (PORTAL_HOLD_TOKEN_KEYS)")
        buyer_id, token = request.path["buyer"], request.headers.get(TOKEN_HEADER)
        if token is None:
            raise Problem(401, "buyer_token_missing", f"send the buyer's token in the header {TOKEN_HEADER}")
        if len(buyer_id) > BUYER_CHARS_MAX or not buyer_token.verify(self._token_keys, buyer_id, token):
            raise Problem(403, "buyer_token_wrong", f"the token in {TOKEN_HEADER} is not this buyer's")
        return buyer_id
