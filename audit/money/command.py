"""The reconciliation of `python -m audit`: one round, and the repairs that were asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.money.hands import Hands
from audit.money.read_provider import Asking, Which, opened_provider
from audit.money.repairs import Repaired, repair_all
from audit.money.round import Outcome, Round
from audit.money.stores import open_stores
from audit.settings import AuditSettings


@dataclass(frozen=True)
class Wish:
    """``repair``: the kinds to repair, empty for all; None: nothing is. ``really``: not only told what would be done.
    ``provider`` None: all payments of one event, else the recent ones."""

    event_id: str | None = None
    provider: Which | None = None
    repair: Sequence[str] | None = None
    really: bool = False
    actor: str = ""


async def reconcile(settings: AuditSettings, wish: Wish) -> tuple[Outcome, list[Repaired] | None]:
    """Raises Unavailable when nothing can be opened; what is away during the round is in the outcome."""
    which: Which = wish.provider or ("recent" if wish.event_id is None else "all")
    async with open_stores(settings) as stores, opened_provider(settings) as provider:
        round_ = Round(stores, Asking(provider, settings.limits, which), settings.limits, event_id=wish.event_id)
        outcome = await round_.run()
        if wish.repair is None:
            return outcome, None
        hands = Hands(stores, provider, wish.actor)
        return outcome, await repair_all(hands, round_, outcome.differences, wish.repair, really=wish.really)
