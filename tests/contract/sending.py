"""The sending end by hand, for tests that do not want a whole relay."""

from typing import Any

from tests.contract.stores import Store
from ticketflow.delivery import Outbox
from ticketflow.delivery.lease import Lease
from ticketflow.delivery.ledger import Ledger
from ticketflow.events import Envelope

STREAM = "orders"
LEASE = f"relay:{STREAM}"


def contender(store: Store, owner: str, ttl_s: float = 30, pool: Any = None, **settings: Any) -> Lease[Any]:
    return Lease(pool or store.pool, store.dialect, name=LEASE, owner=owner, ttl_s=ttl_s, **settings)


async def leader(store: Store, owner: str = "one", **settings: Any) -> Ledger[Any]:
    """The bookkeeping of a relay that holds the lease."""
    lease = contender(store, owner, **settings)
    assert await lease.acquire()
    ledger = Ledger(store.pool, store.dialect, STREAM, lease)
    await ledger.state()
    return ledger


async def stage(store: Store, *staged: Envelope, stream: str = STREAM) -> None:
    """Stage and commit."""
    async with store.pool.transaction() as conn:
        await Outbox(store.dialect, stream).stage(conn, staged)


async def expire_lease(store: Store) -> None:
    """The lease runs out, by the only clock that counts."""
    past = {"postgres": "clock_timestamp() - interval '1 second'", "mariadb": "UTC_TIMESTAMP(6) - INTERVAL 1 SECOND"}
    await store.do(f"UPDATE delivery_lease SET expires_at = {past[store.name]}")
