"""What workers do with payments: find out, capture, void.

Laws:
- Each step may be repeated, by the same worker or by two at once: the provider is asked under a key of the payment,
  and our own change is guarded by the payment's state.
- A provider that cannot be reached, or whose answer is not known, changes nothing: the payment is looked at again,
  later and later.
- Money found at the provider for a payment that is over (its request reached the provider after we had given up) is
  given back.
"""

from billing import orders
from billing.changes import Changes, Decide, repeated
from billing.provider import Authorization, Provider, ProviderIndefinite, ProviderUnavailable, Refused
from billing.store import work
from billing.store.work import Work
from ticketflow.runtime.correlation import bind_correlation
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import MariaDBPool

ABANDONED_AFTER_S = 10.0  # twice the 5 s that the web process gives the provider
UNKNOWN_AFTER_S = 60.0  # seats were given or lost for money that the provider does not know: it will not turn up
RECHECKS_S = (60.0, 900.0)  # after these, what the provider still does not know never reached it
BACKOFF_S = (0.25, 30.0)

log = get_logger("settlements")


class Settlements:
    """Each method does one step for one payment that its worker has taken."""

    def __init__(self, pool: MariaDBPool, changes: Changes, provider: Provider) -> None:
        self._pool = pool
        self._changes = changes
        self._provider = provider

    async def resolve(self, due: Work) -> None:
        """STARTED: whoever began it does not know, or is gone. The provider knows."""
        payment_id = due.payment_id
        try:
            found = await self._provider.fetch(payment_id)
        except ProviderUnavailable as error:
            return await self._later(due, error)
        if found is None and due.age_s < ABANDONED_AFTER_S:
            return await self._postpone(due, min(1.0, ABANDONED_AFTER_S - due.age_s))
        if found is None:
            return await self._apply(due, lambda o: orders.not_charged(o, payment_id, "abandoned"), recheck=True)
        if found.state == "declined":
            reason = found.reason or "declined"
            return await self._apply(due, lambda o: orders.declined(o, payment_id, reason), found)
        if found.state == "voided":
            return await self._apply(due, lambda o: orders.not_charged(o, payment_id, "voided"), found)
        return await self._apply(due, lambda o: orders.authorized(o, payment_id), found)

    async def capture(self, due: Work) -> None:
        """SETTLED: the seats are sold, take the money."""
        payment_id = due.payment_id
        try:
            known = await self._known(due)
            if known is None:
                if due.age_s < UNKNOWN_AFTER_S:
                    return await self._postpone(due, 1.0)
                return await self._apply(due, lambda o: orders.capture_refused(o, payment_id), recheck=True)
            taken = await self._take(due, known)
        except (ProviderUnavailable, ProviderIndefinite) as error:
            return await self._later(due, error)
        if taken.kept_minor != due.amount_minor:
            log.error("capture_refused", payment_id=payment_id, state=taken.state, kept_minor=taken.kept_minor)
            return await self._apply(due, lambda o: orders.capture_refused(o, payment_id), taken)
        return await self._apply(due, lambda o: orders.captured(o, payment_id), taken)

    async def void(self, due: Work) -> None:
        """VOIDING: the seats are lost, keep nothing."""
        payment_id = due.payment_id
        try:
            known = await self._known(due)
            if known is None and due.age_s < ABANDONED_AFTER_S:
                return await self._postpone(due, 1.0)
            if known is not None:
                await self._give_back(payment_id, known)
        except (ProviderUnavailable, ProviderIndefinite) as error:
            return await self._later(due, error)
        return await self._apply(due, lambda o: orders.voided(o, payment_id), known, recheck=known is None)

    async def recheck(self, due: Work) -> None:
        """FAILED or VOIDED without the provider knowing of it: has the request turned up there since?"""
        try:
            found = await self._provider.fetch(due.payment_id)
            if found is not None:
                await self._give_back(due.payment_id, found)
                log.warning("stray_authorization", payment_id=due.payment_id, state=found.state)
        except (ProviderUnavailable, ProviderIndefinite) as error:
            return await self._later(due, error)
        nth = due.attempts
        again_s = RECHECKS_S[nth + 1] if found is None and nth + 1 < len(RECHECKS_S) else None
        return await self._postpone(due, again_s)

    async def _known(self, due: Work) -> Authorization | None:
        """The authorization by its id as we know it, else by our reference."""
        if due.authorization_id is not None:
            return Authorization(due.authorization_id, "authorized", due.amount_minor)
        return await self._provider.fetch(due.payment_id)

    async def _take(self, due: Work, known: Authorization) -> Authorization:
        """As it stands after the capture. A refusal is not believed before the provider has been asked for the truth:
        it may be captured already."""
        try:
            return await self._provider.capture(
                known.authorization_id, due.amount_minor, key=f"{due.payment_id}:capture"
            )
        except Refused as error:
            found = await self._provider.fetch(due.payment_id)
            if found is None:
                raise ProviderUnavailable(f"refused ({error}), and then unknown") from error
            return found

    async def _give_back(self, payment_id: str, known: Authorization) -> None:
        """Afterwards nothing of it is set aside or kept."""
        state, kept_minor = known.state, known.kept_minor
        if state == "authorized":
            try:
                await self._provider.void(known.authorization_id, key=f"{payment_id}:void")
            except Refused as error:
                found = await self._provider.fetch(payment_id)
                if found is None or found.state == "authorized":
                    raise ProviderUnavailable(f"void refused: {error}") from error
                kept_minor = found.kept_minor
        if kept_minor > 0:
            try:
                await self._provider.refund(known.authorization_id, kept_minor, key=f"{payment_id}:refund")
            except Refused as error:
                raise ProviderUnavailable(f"refund refused: {error}") from error

    async def _apply(
        self, due: Work, decide: Decide, found: Authorization | None = None, *, recheck: bool = False
    ) -> None:
        async def change() -> None:
            async with self._pool.transaction() as conn:
                await self._changes.apply(
                    conn,
                    due.order_id,
                    decide,
                    payment_id=due.payment_id,
                    authorization_id=found.authorization_id if found else None,
                    recheck=recheck,
                )

        with bind_correlation(due.correlation_id, due.traceparent):
            await repeated(change)

    async def _later(self, due: Work, error: Exception) -> None:
        delay_s = backoff_s(due.attempts)
        log.warning(
            "payment_postponed",
            payment_id=due.payment_id,
            state=due.state,
            attempts=due.attempts + 1,
            delay_s=delay_s,
            error=str(error),
        )
        await self._postpone(due, delay_s)

    async def _postpone(self, due: Work, delay_s: float | None) -> None:
        async with self._pool.transaction() as conn:
            await work.postpone(conn, due.payment_id, due.state, delay_s)


def backoff_s(attempts: int) -> float:
    """How long after so many failed tries the next one comes."""
    return min(BACKOFF_S[0] * 2.0 ** min(attempts, 10), BACKOFF_S[1])
