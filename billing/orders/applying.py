"""Changes of orders, each wanted by somebody who waits for it: those that meet are written down in one transaction."""

from collections.abc import Sequence

from billing.gathering import Gathering
from billing.orders.changes import Changed, Changes, Wanted, repeated
from ticketflow.runtime.mariadb import MariaDBPool


class Applying:
    """``apply`` commits. Raises Unavailable only when nothing was done, Indefinite when that is not known, LedgerError.
    None: there is no such order."""

    def __init__(self, pool: MariaDBPool, changes: Changes) -> None:
        self._pool = pool
        self._changes = changes
        self._gathering: Gathering[Wanted, tuple[Changed | None]] = Gathering(
            self._together, self._alone, lambda one: one.order_id
        )

    async def apply(self, wanted: Wanted) -> Changed | None:
        (changed,) = await self._gathering.do(wanted)
        return changed

    async def _together(self, wanted: Sequence[Wanted]) -> list[tuple[Changed | None] | None]:
        """An order that is locked by somebody, or is not there, is passed over."""
        async with self._pool.transaction() as conn:
            changed = await self._changes.apply_all(conn, wanted, skip_locked=True)
        return [(changed[one.order_id],) if one.order_id in changed else None for one in wanted]

    async def _alone(self, wanted: Wanted) -> tuple[Changed | None]:
        async def change() -> Changed | None:
            async with self._pool.transaction() as conn:
                return (await self._changes.apply_all(conn, [wanted])).get(wanted.order_id)

        return (await repeated(change),)
