"""Every credential of the cluster: which tier has it, as whom its processes run, and how it is made.

A secret has one home; where others need it too, they have a copy (``same``). Sources stand above what is made of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from stack.credentials.recipes import CaCopy, Certificate, Derived, Password, PrivateKey, Recipe, Root

# The images make their users with these ids.
ROOT, APP, POSTGRES, ETCD, HAPROXY, MYSQL, RABBITMQ, PROMETHEUS = 0, 10001, 10002, 10003, 10004, 10005, 10006, 10008

MOUNTED_AT = "/run/credentials"  # in the containers of a tier
CA_CERTIFICATE = "ca/ca.crt"


@dataclass(frozen=True)
class Tier:
    """A folder, and one day a volume, that only the containers of one kind can see."""

    name: str
    uid: int
    files: Mapping[str, Recipe]


def same(home: str) -> Derived:
    return Derived("{}", (home,))


def _replicas(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}{number}" for number in range(1, count + 1))


def tls(tier: str, dns: tuple[str, ...], stem: str = "tls") -> dict[str, Recipe]:
    """What one end of TLS needs: its key, its certificate, whom it trusts."""
    return {
        f"{stem}.key": PrivateKey(),
        f"{stem}.crt": Certificate(f"{tier}/{stem}.key", tier, dns),
        "ca.crt": CaCopy(CA_CERTIFICATE),
    }


def ca(uid: int) -> Tier:
    return Tier("ca", uid, {"ca.key": PrivateKey(), "ca.crt": Root("ca/ca.key")})


def _feed(tier: str, *names: str) -> dict[str, Recipe]:
    """A sender checks the host name that it dialled: a service's name, with a number for one replica of it."""
    return tls(tier, tuple(host for name in names for host in (*_replicas(name, 2), name)), "feed")


def _postgres_dsn(user: str, database: str, port: int = 5432) -> Derived:
    """``port``: HAProxy's, 5432 for the primary, 5433 for the replicas."""
    hosts = ",".join(f"{host}:{port}" for host in _replicas("haproxy", 2))
    options = f"sslmode=verify-full&sslrootcert={MOUNTED_AT}/ca.crt"
    return Derived(f"postgresql://{user}:{{}}@{hosts}/{database}?{options}", (f"postgres/{user}-password",))


def _amqp_url(user: str) -> Derived:
    """A whole URL for each node; %2F is the vhost `/`."""
    urls = ",".join(f"amqps://{user}:{{0}}@{host}:5671/%2F" for host in _replicas("rabbitmq", 3))
    return Derived(urls, (f"rabbitmq/{user}-password",))


TIERS = (
    ca(ROOT),
    Tier(
        "postgres",
        POSTGRES,
        {
            "superuser-password": Password(),
            "replication-password": Password(),
            "rewind-password": Password(),
            "reservation-password": Password(),
            "portal-password": Password(),
            "audit-password": Password(),
            "patroni-password": Password(),
            # HAProxy passes TLS through: clients see the certificate of Postgres under HAProxy's name.
            **tls("postgres", (*_replicas("postgres", 3), *_replicas("haproxy", 2), "localhost")),
        },
    ),
    Tier("etcd", ETCD, tls("etcd", (*_replicas("etcd", 3), "localhost"))),
    Tier(
        "mariadb",
        MYSQL,
        {
            "root-password": Password(),
            "billing-password": Password(),
            "monitor-password": Password(),
            "audit-password": Password(),
        },
    ),
    Tier(
        "proxysql",
        HAPROXY,
        {
            "monitor-password": same("mariadb/monitor-password"),
            "billing-password": same("mariadb/billing-password"),
            "admin-password": Password(),
        },
    ),
    Tier(
        "rabbitmq",
        RABBITMQ,
        {
            "erlang-cookie": Password(),
            "admin-password": Password(),
            "bridge-password": Password(),
            "portal-password": Password(),
            **tls("rabbitmq", _replicas("rabbitmq", 3)),
        },
    ),
    Tier("provider", APP, {"provider-key": Password(), "webhook-secrets": Password()}),  # a list with one in it
    Tier(
        "reservation",
        APP,
        {
            "database-dsn": _postgres_dsn("reservation", "reservation"),
            "database-replica-dsn": _postgres_dsn("reservation", "reservation", 5433),
            "admin-key": Password(),
            "hold-token-keys": Password(),  # a list with one key in it
            **_feed("reservation", "reservation"),
        },
    ),
    Tier(
        "billing",
        APP,
        {
            "database-password": same("mariadb/billing-password"),
            "provider-key": same("provider/provider-key"),
            "webhook-secrets": same("provider/webhook-secrets"),
            "admin-key": same("reservation/admin-key"),
            "hold-token-keys": same("reservation/hold-token-keys"),
            **_feed("billing", "billing-listener"),
        },
    ),
    Tier("bridge", APP, {"amqps-url": _amqp_url("bridge"), **_feed("bridge", "bridge")}),
    Tier(
        "portal",
        APP,
        {
            "database-dsn": _postgres_dsn("portal", "portal"),
            "amqps-url": _amqp_url("portal"),
            "admin-key": same("reservation/admin-key"),
            "hold-token-keys": same("reservation/hold-token-keys"),
            **_feed("portal", "portal"),
        },
    ),
    Tier(
        "auditor",
        APP,
        {
            "reservation-dsn": _postgres_dsn("audit", "reservation"),
            "portal-dsn": _postgres_dsn("audit", "portal"),
            "mariadb-audit-password": same("mariadb/audit-password"),
            "rabbitmq-password": same("rabbitmq/admin-password"),
            "patroni-password": same("postgres/patroni-password"),
            "provider-key": same("provider/provider-key"),
            "admin-key": same("reservation/admin-key"),
            "ca.crt": CaCopy(CA_CERTIFICATE),
        },
    ),
    Tier("monitoring", PROMETHEUS, {"grafana-password": Password()}),
)


def places(tiers: Iterable[Tier] = TIERS) -> Iterator[tuple[str, Tier, Recipe]]:
    """TIER/FILE, its tier and its recipe, in the table's order."""
    for tier in tiers:
        for name, recipe in tier.files.items():
            yield f"{tier.name}/{name}", tier, recipe
