"""What a person does about a refund that the provider refused: have it tried again, or give credits instead."""

from billing.orders.changes import repeated
from billing.providers.port import Provider, ProviderUnavailable
from billing.refunds.deciding import Refunds
from billing.refunds.paying_back import given_back
from billing.store import book, refund_work, refunds
from billing.store.refunds import REFUNDED, REFUSED, Refund
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.problem import Problem

log = get_logger("refunds")


class RefundDesk:
    """Each deed may be repeated: what is done already is answered as it stands."""

    def __init__(self, pool: MariaDBPool, refunds_: Refunds, provider: Provider) -> None:
        self._pool = pool
        self._refunds = refunds_
        self._provider = provider

    async def retry(self, refund_id: str) -> Refund:
        """Raises Problem, Unavailable, Indefinite."""

        async def attempt() -> bool:
            async with self._pool.transaction() as conn:
                refund = _known(await refunds.read(conn, refund_id))
                record = await book.lock(conn, refund.order_id)
                assert record is not None, "a refund is of an order"
                tried = await refunds.try_again(conn, refund_id)
                if tried:
                    await refunds.touch_order(conn, record)
                return tried

        if await repeated(attempt):
            log.info("refund_retried", refund_id=refund_id)
        return await self._read(refund_id)

    async def as_credits(self, refund_id: str) -> Refund:
        """All of it goes to the buyer's credits, unless the provider turns out to have given it back after all; then it
        is written down so. Raises Problem, Unavailable, Indefinite."""
        refund = await self._read(refund_id)
        if refund.state == REFUNDED and refund.card_minor == 0:
            return refund
        if refund.state != REFUSED:
            raise Problem(409, "refund_not_refused", f"it is {refund.state}: nothing is left to decide")
        async with self._pool.acquire() as conn:
            known = await refunds.of_order(conn, refund.order_id)
        # Whoever is under way now, or begins meanwhile, is noticed when this is written down.
        given_minor = refund_work.carried_out_by_card(known, refund.payment_id)
        done = await self._done_after_all(refund, given_minor)
        await self._refunds.carry_out(refund, as_credits=not done, expected_minor=given_minor)
        return await self._read(refund_id)

    async def _done_after_all(self, refund: Refund, given_minor: int) -> bool:
        """Asked only of the provider that is set up: another one cannot be asked, which is a reason to give credits."""
        async with self._pool.acquire() as conn:
            provider, authorization_id = await refund_work.provider_of(conn, refund.payment_id)
        if provider != self._provider.name or authorization_id is None:
            log.error("refund_elsewhere", refund_id=refund.refund_id, provider=provider)
            return False
        try:
            return given_back(await self._provider.read(authorization_id), given_minor, refund.card_minor)
        except ProviderUnavailable as error:
            detail = "the provider cannot be asked whether it has given the money back after all"
            raise Problem(503, "provider_unavailable", detail, retry_after_s=2) from error

    async def _read(self, refund_id: str) -> Refund:
        async with self._pool.acquire() as conn:
            return _known(await refunds.read(conn, refund_id))


def _known(refund: Refund | None) -> Refund:
    if refund is None:
        raise Problem(404, "refund_unknown", "there is no such refund")
    return refund
