"""Buyers and their credits, for whoever has the admin key: tokens, and credits in dispute."""

from collections.abc import Sequence
from dataclasses import asdict

from billing.ledger import causes
from billing.ledger.entries import InsufficientCredits, LedgerConflict
from billing.orders.changes import repeated
from billing.store import freezes, ledger
from billing.store.freezes import Freeze
from billing.store.times import to_utc
from billing.wallets.api import buyer_of
from billing.wallets.shapes import FreezeBody, FreezeView, TokenView
from ticketflow.currencies import EXPONENTS
from ticketflow.events import buyer_token, new_id
from ticketflow.runtime.http import Problem, Reply, Request, Route
from ticketflow.runtime.mariadb import MariaDBPool


class WalletAdminApi:
    def __init__(self, pool: MariaDBPool, token_keys: Sequence[str]) -> None:
        self._pool = pool
        self._token_keys = token_keys

    def routes(self) -> list[Route]:
        """All need the admin key."""
        freezing = "/api/v1/admin/wallets/{buyer}/freezes"
        return [
            Route(
                method="POST",
                path="/api/v1/admin/buyers/{buyer}/token",
                handler=self.issue,
                summary="The token of a buyer who has logged in at the shop, for X-Buyer-Token",
                response=TokenView,
                status=201,
                problems=("buyer_invalid",),
                admin=True,
                tags=("credits",),
            ),
            Route(
                method="POST",
                path=freezing,
                handler=self.freeze,
                summary="Freeze a part of a buyer's credits that is in dispute; once for each freeze_id",
                body=FreezeBody,
                response=FreezeView,
                status=201,
                problems=("buyer_invalid", "currency_unknown", "insufficient_credits", "freeze_conflict"),
                admin=True,
                tags=("credits",),
            ),
            Route(
                method="DELETE",
                path=f"{freezing}/{{freeze}}",
                handler=self.unfreeze,
                summary="The dispute is over: all of it can be spent again",
                response=FreezeView,
                problems=("buyer_invalid", "freeze_unknown"),
                admin=True,
                tags=("credits",),
            ),
        ]

    async def issue(self, request: Request) -> Reply:
        buyer_id = buyer_of(request)
        return Reply(201, TokenView(buyer_id=buyer_id, token=buyer_token.issue(self._token_keys, buyer_id)))

    async def freeze(self, request: Request) -> Reply:
        buyer_id = buyer_of(request)
        body: FreezeBody = request.body
        if body.currency not in EXPONENTS:
            raise Problem(422, "currency_unknown", "currency is a code of ISO 4217")
        freeze_id = body.freeze_id or new_id()
        entry = causes.freeze_part(freeze_id, buyer_id, body.amount_minor, body.currency, body.reason)

        async def change() -> Freeze | None:
            async with self._pool.transaction() as conn:
                await ledger.record(conn, [entry])
                return await freezes.read(conn, buyer_id, freeze_id)

        try:
            made = await repeated(change)
        except InsufficientCredits as error:
            raise Problem(402, error.code, "the buyer has fewer credits than that") from error
        except LedgerConflict as error:
            raise Problem(409, "freeze_conflict", "something else is frozen under this freeze_id") from error
        assert made is not None, "it was written in this transaction, or before"
        return Reply(201, _view(made))

    async def unfreeze(self, request: Request) -> Reply:
        buyer_id, freeze_id = buyer_of(request), request.path["freeze"]

        async def change() -> Freeze | None:
            async with self._pool.transaction() as conn:
                found = await freezes.read(conn, buyer_id, freeze_id)
                if found is None:
                    return None
                await ledger.record(
                    conn, [causes.unfreeze_part(freeze_id, buyer_id, found.amount_minor, found.currency)]
                )
                return await freezes.read(conn, buyer_id, freeze_id)

        freed = await repeated(change)
        if freed is None:
            raise Problem(404, "freeze_unknown", "nothing of this buyer's is frozen under that id")
        return Reply(200, _view(freed))


def _view(one: Freeze) -> FreezeView:
    times = {
        "frozen_at": to_utc(one.frozen_at),
        "released_at": None if one.released_at is None else to_utc(one.released_at),
    }
    return FreezeView(**(asdict(one) | times))
