"""What workers do with payments: find out, ask again, capture, void.

Laws:
- Each step may be repeated, by the same worker or by two at once: the provider is asked under a key of the payment,
  and our own change is guarded by the payment's state.
- A provider that cannot be reached, or whose answer is not known, changes nothing: the payment is looked at again,
  later and later.
- Money found at the provider for a payment that is over (its request reached the provider after we had given up) is
  given back.
"""

from billing.orders import rules as orders
from billing.orders.applying import Applying
from billing.orders.changes import Changes, Decide, Wanted, repeated
from billing.payments.giving_back import give_back
from billing.providers.port import Authorization, Provider, ProviderIndefinite, ProviderUnavailable, Refused
from billing.side_by_side import doubled_s
from billing.store import work
from billing.store.work import REDIRECT_MARGIN_S, Work
from ticketflow.runtime.correlation import Correlation, bind_correlation
from ticketflow.runtime.errors import Indefinite, Retryable, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import MariaDBPool

ABANDONED_AFTER_S = 10.0  # twice the 5 s that the web process gives the provider
UNKNOWN_AFTER_S = 60.0  # seats were given or lost for money that the provider does not know: it will not turn up
RECHECKS_S = (60.0, 900.0)  # after these, what the provider still does not know never reached it
BACKOFF_S = (0.25, 30.0)
NUDGE_S = (60.0, 3600.0)
REDIRECT_POLL_S = (2.0, 900.0)  # webhooks are faster; a page that nobody pays on is asked about some 130 times in a day
TICKETS_TRIES_MAX = 8  # with their back-off, some 30 s

log = get_logger("settlements")


class Settlements:
    """Each method does one step for one payment that its worker has taken."""

    def __init__(self, pool: MariaDBPool, changes: Changes, provider: Provider) -> None:
        self._pool = pool
        self._changes = changes
        self._provider = provider
        self._applying = Applying(pool, changes)

    async def resolve(self, due: Work, told: Authorization | None = None) -> None:
        """STARTED: whoever began it does not know, or is gone. The provider knows. ``told``: money that it has just
        said stands under this reference; what it finds by a search may be older."""
        payment_id = due.payment_id
        try:
            found = told or await self._asked(due).fetch(payment_id)
        except ProviderUnavailable as error:
            return await self._later(due, error)
        if due.redirect_left_s is not None and (found is None or not found.holds_money):
            # The buyer may try again on the provider's page: a decline there is not the last word.
            if due.redirect_left_s > -REDIRECT_MARGIN_S:
                ends_s = due.redirect_left_s + REDIRECT_MARGIN_S + 1
                return await self._postpone(due, min(redirect_poll_s(due.age_s), ends_s))
            return await self._apply(due, lambda o: orders.not_charged(o, payment_id, "abandoned"), recheck=True)
        if found is None and due.age_s < ABANDONED_AFTER_S:
            return await self._postpone(due, min(1.0, ABANDONED_AFTER_S - due.age_s))
        if found is None:
            return await self._apply(due, lambda o: orders.not_charged(o, payment_id, "abandoned"), recheck=True)
        if found.state == "declined":
            reason = found.reason or "declined"
            return await self._apply(due, lambda o: orders.declined(o, payment_id, reason), found)
        if not found.holds_money:
            return await self._apply(due, lambda o: orders.not_charged(o, payment_id, "voided"), found)
        return await self._apply(due, lambda o: orders.authorized(o, payment_id), found)

    async def nudge(self, due: Work) -> None:
        """AUTHORIZED for so long that reservation's word must have been lost: it is asked again."""

        async def tell() -> None:
            async with self._pool.transaction() as conn:
                await self._changes.nudge(conn, due.order_id, due.payment_id)
                await work.postpone(conn, due.payment_id, due.state, nudge_s(due.attempts))

        log.warning("payment_nudged", payment_id=due.payment_id, order_id=due.order_id, attempts=due.attempts + 1)
        with bind_correlation(due.correlation_id, due.traceparent):
            await repeated(tell)

    async def capture(self, due: Work) -> None:
        """SETTLED: the seats are sold, take the money."""
        payment_id = due.payment_id
        if due.card_minor == 0:
            return await self._confirm(due, None)
        try:
            known = await self._known(due)
            if known is None:
                if due.age_s < UNKNOWN_AFTER_S:
                    return await self._postpone(due, 1.0)
                return await self._apply(due, lambda o: orders.capture_refused(o, payment_id), recheck=True)
            taken = await self._take(due, known)
        except (ProviderUnavailable, ProviderIndefinite) as error:
            return await self._later(due, error)
        if taken.kept_minor != due.card_minor:
            log.error("capture_refused", payment_id=payment_id, state=taken.state, kept_minor=taken.kept_minor)
            return await self._apply(due, lambda o: orders.capture_refused(o, payment_id), taken)
        return await self._confirm(due, taken)

    async def void(self, due: Work) -> None:
        """VOIDING: the seats are lost, keep nothing."""
        payment_id = due.payment_id
        if due.card_minor == 0:
            return await self._apply(due, lambda o: orders.voided(o, payment_id))
        try:
            known = await self._known(due)
            if known is None and due.age_s < ABANDONED_AFTER_S:
                return await self._postpone(due, 1.0)
            if known is not None:
                await give_back(self._provider, known)
        except (ProviderUnavailable, ProviderIndefinite) as error:
            return await self._later(due, error)
        return await self._apply(due, lambda o: orders.voided(o, payment_id), known, recheck=known is None)

    async def recheck(self, due: Work) -> None:
        """FAILED or VOIDED without the provider knowing of it: has the request turned up there since?"""
        try:
            found = await self._asked(due).fetch_all(due.payment_id) if due.card_minor else []
            for one in found:
                if one.holds_money:
                    await give_back(self._provider, one)
                    log.warning("stray_authorization", payment_id=due.payment_id, state=one.state)
        except (ProviderUnavailable, ProviderIndefinite) as error:
            return await self._later(due, error)
        nth, left_s = due.attempts, due.redirect_left_s
        again_s = RECHECKS_S[nth + 1] if not found and nth + 1 < len(RECHECKS_S) else None
        if left_s is not None and left_s > -REDIRECT_MARGIN_S:  # its page still takes money
            again_s = REDIRECT_POLL_S[1]
        return await self._postpone(due, again_s)

    async def give_back_extras(self, due: Work) -> int:
        """A page of the provider's can be paid twice: money beyond the one authorisation that counts goes back. How
        many were given back. Raises ProviderError."""
        if due.card_minor == 0:
            return 0
        found = await self._asked(due).fetch_all(due.payment_id)
        counts = due.authorization_id or (found[0].authorization_id if found else None)
        extras = [one for one in found if one.authorization_id != counts and one.holds_money]
        for one in extras:
            await give_back(self._provider, one)
            log.warning("paid_twice", payment_id=due.payment_id, authorization_id=one.authorization_id)
        return len(extras)

    def _asked(self, due: Work) -> Provider:
        """Raises ProviderUnavailable when it was begun at another provider than the one that is set up now."""
        if due.provider != self._provider.name:
            raise ProviderUnavailable(f"the payment is {due.provider}'s, and {self._provider.name} is set up")
        return self._provider

    async def _known(self, due: Work) -> Authorization | None:
        """The authorization by its id as we know it, else by our reference."""
        provider = self._asked(due)
        if due.authorization_id is not None:
            return Authorization(due.authorization_id, "authorized", due.card_minor)
        return await provider.fetch(due.payment_id)

    async def _take(self, due: Work, known: Authorization) -> Authorization:
        """As it stands after the capture. A refusal is not believed before the provider has been asked for the truth:
        it may be captured already."""
        try:
            return await self._provider.capture(known.authorization_id, due.card_minor, key=f"{due.payment_id}:capture")
        except Refused as error:
            found = await self._provider.read(known.authorization_id)
            if found is None:
                raise ProviderUnavailable(f"refused ({error}), and then unknown") from error
            return found

    async def _confirm(self, due: Work, taken: Authorization | None) -> None:
        """The money is ours: tickets. Those that cannot be issued, for a reason of our own, are not tried for ever."""
        try:
            await self._apply(due, lambda o: orders.captured(o, due.payment_id), taken)
        except (Unavailable, Indefinite, Retryable):
            raise
        except Exception:
            if due.attempts + 1 < TICKETS_TRIES_MAX:
                raise
            log.exception("tickets_failed", payment_id=due.payment_id, order_id=due.order_id)
            await self._apply(due, lambda o: orders.capture_refused(o, due.payment_id, "tickets_failed"), taken)

    async def _apply(
        self, due: Work, decide: Decide, found: Authorization | None = None, *, recheck: bool = False
    ) -> None:
        await self._applying.apply(
            Wanted(
                due.order_id,
                decide,
                Correlation(due.correlation_id, due.traceparent),
                payment_id=due.payment_id,
                authorization_id=found.authorization_id if found else None,
                recheck=recheck,
            )
        )

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
    return doubled_s(attempts, BACKOFF_S)


def nudge_s(attempts: int) -> float:
    return doubled_s(attempts, NUDGE_S)


def redirect_poll_s(age_s: float) -> float:
    """How long until the provider is asked again whether the buyer has paid on its page."""
    return min(max(age_s / 4, REDIRECT_POLL_S[0]), REDIRECT_POLL_S[1])
