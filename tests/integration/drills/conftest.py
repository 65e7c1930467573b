"""A drill's crowd and auditor on the embedded stack: everything of a drill but the cluster and the nemesis."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from drills import show
from drills.auditor.settings import AuditorSettings, read
from drills.clock import Clock
from drills.shop import Shop, open_shop
from drills.workload import Ledger, Workload
from tests.support.ring import Ring


@dataclass
class Ground:
    """A shop, and what its buyers did so far."""

    shop: Shop
    clock: Clock
    ledger: Ledger
    admin_key: str

    async def hall(self, *, seats: int = 50, standing: int = 50, hold_ttl_s: int = 5, grace_s: int = 1) -> show.Hall:
        name = f"Drill {random.randrange(10**9)}"
        return await show.make(
            self.shop,
            self.admin_key,
            name=name,
            seats=seats,
            standing=standing,
            hold_ttl_s=hold_ttl_s,
            grace_s=grace_s,
        )

    def workload(self, hall: show.Hall, *, seed: int = 1, rate_s: float = 10) -> Workload:
        prefix = f"b{random.randrange(10**9)}"
        return Workload(self.shop, hall, self.clock, seed=seed, prefix=prefix, rate_s=rate_s)


@asynccontextmanager
async def open_ground(ring: Ring, *, patience_s: float = 40, request_s: float = 3) -> AsyncIterator[Ground]:
    clock, ledger = Clock(), Ledger()
    async with open_shop(ring.base_url, clock, ledger, patience_s=patience_s, request_s=request_s) as shop:
        yield Ground(shop, clock, ledger, ring.admin_key)


@pytest.fixture
async def ground(ring: Ring) -> AsyncIterator[Ground]:
    await ring.ready()
    async with open_ground(ring) as ground:
        yield ground


@pytest.fixture
def auditor_settings(ring: Ring) -> AuditorSettings:
    """The embedded stack has one of each store, and nothing that describes itself over HTTP but its services."""
    ports, secrets = ring.stack.ports, ring.stack.secrets
    return read(
        {
            "AUDITOR_RESERVATION_DSN": ring.dsn("reservation"),
            "AUDITOR_PORTAL_DSN": ring.dsn("portal"),
            "AUDITOR_BILLING_USER": "billing",
            "AUDITOR_BILLING_PASSWORD": secrets.get("billing-database"),
            "AUDITOR_BILLING_ADDRESSES": f"127.0.0.1:{ports.mariadb}",
            "AUDITOR_GALERA_ADDRESSES": f"127.0.0.1:{ports.mariadb}",
            "AUDITOR_PROVIDER_URL": f"http://127.0.0.1:{ports.sandbox}",
            "AUDITOR_PROVIDER_KEY": secrets.get("provider-key"),
            "AUDITOR_PATRONI_URLS": ",",
            "AUDITOR_ETCD_URLS": ",",
            "AUDITOR_RABBITMQ_URLS": ",",
            "AUDITOR_RELAY_URLS": f"billing-listener=http://127.0.0.1:{ports.billing_listener}",
        }
    )
