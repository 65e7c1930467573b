"""The HTTP API of buyers' credits: for the buyer, by X-Buyer-Token."""

import re
from collections.abc import Sequence
from dataclasses import asdict

from billing.store import topups, wallets
from billing.store.times import to_utc
from billing.wallets.buyers import BUYER_PROOF, check_buyer
from billing.wallets.shapes import (
    BalanceView,
    MovementView,
    StatementQuery,
    StatementView,
    TopupBody,
    TopupView,
    WalletView,
    topup_view,
)
from billing.wallets.topups import AskTopup, Topups
from ticketflow.runtime.http import Problem, Reply, Request, Route
from ticketflow.runtime.mariadb import MariaDBPool

_BUYER = re.compile(r"[A-Za-z0-9._:-]{1,64}")  # as reservation takes them
_PROOF = ("buyer_invalid", *BUYER_PROOF)


class WalletApi:
    def __init__(self, pool: MariaDBPool, begin: Topups, token_keys: Sequence[str]) -> None:
        self._pool = pool
        self._topups = begin
        self._token_keys = token_keys

    def routes(self) -> list[Route]:
        wallet = "/api/v1/wallets/{buyer}"
        return [
            Route(
                method="GET",
                path=wallet,
                handler=self.balances,
                summary="A buyer's credits, by currency (needs X-Buyer-Token, as all of these)",
                response=WalletView,
                problems=_PROOF,
                tags=("credits",),
            ),
            Route(
                method="GET",
                path=f"{wallet}/statement",
                handler=self.statement,
                summary="What came and went, the newest first",
                query=StatementQuery,
                response=StatementView,
                problems=_PROOF,
                tags=("credits",),
            ),
            Route(
                method="POST",
                path=f"{wallet}/topups",
                handler=self.top_up,
                summary="Buy credits: gives the address of a page of the provider's",
                body=TopupBody,
                response=TopupView,
                status=201,
                problems=(
                    *_PROOF,
                    "topups_closed",
                    "currency_unknown",
                    "topup_too_large",
                    "topup_refused",
                    "too_many_topups",
                    "provider_unavailable",
                    "idempotency_mismatch",
                ),
                idempotency_key=True,
                tags=("credits",),
            ),
            Route(
                method="GET",
                path=f"{wallet}/topups/{{topup_id}}",
                handler=self.read_topup,
                summary="A top-up",
                response=TopupView,
                problems=(*_PROOF, "topup_unknown"),
                tags=("credits",),
            ),
        ]

    async def balances(self, request: Request) -> Reply:
        buyer_id = self._proven(request)
        async with self._pool.acquire() as conn:
            held = await wallets.balances(conn, buyer_id)
        return Reply(200, WalletView(buyer_id=buyer_id, balances=[BalanceView(**asdict(one)) for one in held]))

    async def statement(self, request: Request) -> Reply:
        buyer_id = self._proven(request)
        wanted: StatementQuery = request.query
        async with self._pool.acquire() as conn:
            page = await wallets.statement(conn, buyer_id, wanted.currency, before=wanted.before, limit=wanted.limit)
        items = [MovementView(**(asdict(one) | {"at": to_utc(one.at)})) for one in page]
        following = page[-1].entry_id if len(page) == wanted.limit else None
        return Reply(200, StatementView(currency=wanted.currency, items=items, next=following))

    async def top_up(self, request: Request) -> Reply:
        buyer_id = self._proven(request)
        body: TopupBody = request.body
        told = await self._topups.begin(
            AskTopup(
                buyer_id=buyer_id,
                key=request.idempotency_key,
                fingerprint=request.fingerprint,
                amount_minor=body.amount_minor,
                currency=body.currency,
            )
        )
        return Reply(told.status, told.body, {"Idempotency-Replayed": "true"} if told.replayed else {})

    async def read_topup(self, request: Request) -> Reply:
        buyer_id = self._proven(request)
        async with self._pool.acquire() as conn:
            found = await topups.read(conn, request.path["topup_id"])
        if found is None or found.buyer_id != buyer_id:
            raise Problem(404, "topup_unknown", "this buyer has no such top-up")
        return Reply(200, topup_view(found))

    def _proven(self, request: Request) -> str:
        """The buyer of the path. Raises Problem."""
        buyer_id = buyer_of(request)
        check_buyer(self._token_keys, request, buyer_id)
        return buyer_id


def buyer_of(request: Request) -> str:
    """Raises Problem."""
    buyer_id = request.path["buyer"]
    if not _BUYER.fullmatch(buyer_id):
        raise Problem(400, "buyer_invalid", "a buyer's id has 1 to 64 characters of A-Za-z0-9._:-")
    return buyer_id
