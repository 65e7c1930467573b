"""Every drill, as data: what is done to the cluster, and what it must keep to.

Laws of this file:
- Data only; how a drill is carried out stands in conduct.py.
- A limit is what a buyer may feel, retries included. 0 for a gap means: not felt. Where a figure is no round guess, its
  reason stands beside it.
- Every drill must be safe; that is not a limit, and so it is not written here.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from drills.faults import (
    Anyone,
    BrokerStuck,
    CutOff,
    Fault,
    NodeFrozen,
    NodeKilled,
    NodeRestarted,
    ProcessKilled,
    Role,
    Services,
    Slow,
    Switchover,
    Target,
)
from drills.limits import Limits

FEED_PORT = 9400


@dataclass(frozen=True)
class Stage:
    """``faults`` strike together and are healed together after ``for_s``. ``settle``: the next stage waits until every
    service is healthy again, as an operator would."""

    faults: tuple[Fault, ...]
    for_s: float = 0.0
    settle: bool = False


class Times(NamedTuple):
    """Of a hold, at the event that is sold."""

    hold_ttl_s: int
    grace_s: int


SHORT = Times(10, 20)  # so that no-shows end within the drill
LONG = Times(20, 40)  # where a part of the ring is away for so long that buyers could not pay in time, or be settled


@dataclass(frozen=True)
class Drill:
    """``ci``: one of its kind, short enough for every change."""

    name: str
    kind: str
    about: str
    stages: Callable[[random.Random], tuple[Stage, ...]]
    limits: Limits
    ci: bool = False
    times: Times = SHORT


def _once(for_s: float, *faults: Fault) -> Callable[[random.Random], tuple[Stage, ...]]:
    return lambda _chance: (Stage(faults, for_s),)


PRIMARY = Role("postgres primary")
STANDBYS = Role("postgres standbys")
WRITER = Role("galera writer")
MARIADB = Services("mariadb1", "mariadb2", "mariadb3")
RABBITMQ = Services("rabbitmq1", "rabbitmq2", "rabbitmq3")

# The kinds of service processes, each with its replicas.
REPLICAS = {
    "reservation": Services("reservation1", "reservation2"),
    "billing-web": Services("billing-web1", "billing-web2"),
    "billing-listener": Services("billing-listener1", "billing-listener2"),
    "bridge": Services("bridge1", "bridge2"),
    "portal": Services("portal1", "portal2"),
}
APPS = Services(*(name for kind in REPLICAS.values() for name in kind.names))
# Who restarts in a rolling restart, in this order: what others lean on first.
ROLLING = (
    *("etcd1", "etcd2", "etcd3", "postgres1", "postgres2", "postgres3", "haproxy1", "haproxy2"),
    *("mariadb1", "mariadb2", "mariadb3", "proxysql1", "proxysql2", "rabbitmq1", "rabbitmq2", "rabbitmq3"),
    *APPS.names,
    "nginx",
)
# One of each kind, in the same order: the one whose restart is felt most.
ONE_OF_EACH: tuple[Target, ...] = (
    *(Role("etcd leader"), PRIMARY, Services("haproxy1"), WRITER, Services("proxysql1"), Services("rabbitmq1")),
    *(Services(replicas.names[0]) for replicas in REPLICAS.values()),
    Services("nginx"),
)
# The feeds: who sends, who receives.
FEEDS = {
    "reservation-billing": ("reservation", "billing-listener"),
    "billing-bridge": ("billing-listener", "bridge"),
    "portal-reservation": ("portal", "reservation"),
}

UNFELT = Limits(gap_s_max=0, buyer_errors_max=0)


def _postgres() -> Iterator[Drill]:
    yield Drill(
        "postgres-postmaster-killed",
        "postgres",
        "SIGKILL for the primary's postmaster; the container lives on",
        _once(10, ProcessKilled(PRIMARY, process="postgres")),
        Limits(gap_s_max=9, buyer_errors_max=0),
        ci=True,
    )
    yield Drill(
        "postgres-primary-killed",
        "postgres",
        "the primary's container is killed and stays away for 40 s",
        _once(40, NodeKilled(PRIMARY)),
        Limits(gap_s_max=25, buyer_errors_max=0),
        times=LONG,
    )
    yield Drill(
        "postgres-primary-cut-off",
        "postgres",
        "the primary loses its network for 45 s: it must stop serving before another one begins",
        _once(45, CutOff(PRIMARY)),
        Limits(gap_s_max=30, buyer_errors_max=0),  # as a kill, but connections end by time-out only
        times=LONG,
    )
    yield Drill(
        "postgres-switchover",
        "postgres",
        "a planned change of the primary, by patronictl",
        _once(5, Switchover(PRIMARY)),
        Limits(gap_s_max=5, buyer_errors_max=0),
    )
    yield Drill(
        "postgres-standbys-lost",
        "postgres",
        "both standbys are killed for 15 s: strict, so writes wait rather than being at risk",
        _once(15, NodeKilled(STANDBYS)),
        Limits(gap_s_max=35, buyer_errors_max=0),  # 15 s, and until a standby streams again
        times=LONG,
    )


def _etcd() -> Iterator[Drill]:
    yield Drill(
        "etcd-leader-killed",
        "etcd",
        "the leader of etcd is killed for 15 s",
        _once(15, NodeKilled(Role("etcd leader"))),
        UNFELT,
        ci=True,
    )
    yield Drill(
        "etcd-quorum-lost",
        "etcd",
        "two of three etcds are away for 60 s: failsafe keeps the primary while all members answer",
        _once(60, NodeKilled(Services("etcd1", "etcd2"))),
        UNFELT,
        times=LONG,
    )


def _proxies() -> Iterator[Drill]:
    yield Drill(
        "haproxy-killed",
        "haproxy",
        "one of two HAProxies is killed for 10 s",
        _once(10, NodeKilled(Anyone(Services("haproxy1", "haproxy2")))),
        Limits(gap_s_max=1.5, buyer_errors_max=0),
        ci=True,
    )
    yield Drill(
        "proxysql-killed",
        "proxysql",
        "one of two ProxySQLs (or stand-ins) is killed for 10 s",
        _once(10, NodeKilled(Anyone(Services("proxysql1", "proxysql2")))),
        Limits(gap_s_max=0, orders_gap_s_max=2.5, buyer_errors_max=0),
        ci=True,
    )


def _galera() -> Iterator[Drill]:
    limits = Limits(gap_s_max=0, orders_gap_s_max=2.5, buyer_errors_max=0)
    for what, fault, ci in (
        ("killed", NodeKilled(WRITER), True),
        ("frozen", NodeFrozen(WRITER), False),
        ("cut-off", CutOff(WRITER), False),
    ):
        about = f"Galera's writer is {what.replace('-', ' ')} for 15 s"
        yield Drill(f"galera-writer-{what}", "galera", about, _once(15, fault), limits, ci)
    yield Drill(
        "galera-all-killed",
        "galera",
        "all three nodes are killed at the same moment; they find out by themselves who goes first",
        _once(10, ProcessKilled(MARIADB)),
        Limits(gap_s_max=0, tickets_gap_s_max=30, buyer_errors_max=0),
        times=LONG,
    )


def _rabbitmq() -> Iterator[Drill]:
    yield Drill(
        "rabbitmq-node-killed",
        "rabbitmq",
        "the node that leads the sales queue is killed for 15 s",
        _once(15, NodeKilled(Role("rabbitmq leader"))),
        UNFELT,
        ci=True,
    )
    yield Drill(
        "rabbitmq-restarted",
        "rabbitmq",
        "all three nodes are killed at the same moment and start again",
        _once(10, ProcessKilled(RABBITMQ)),
        Limits(gap_s_max=0, buyer_errors_max=0),
        times=LONG,
    )
    yield Drill(
        "rabbitmq-partition",
        "rabbitmq",
        "the node that leads the sales queue is cut off from everybody for 20 s",
        _once(20, CutOff(Role("rabbitmq leader"))),
        UNFELT,
        times=LONG,
    )
    yield Drill(
        "rabbitmq-node-stuck",
        "rabbitmq",
        "the node that leads the sales queue serves nobody and does not end: its watchdog must kill it",
        _once(5, BrokerStuck(Role("rabbitmq leader"))),
        UNFELT,
    )


def _services() -> Iterator[Drill]:
    for kind, replicas in REPLICAS.items():
        front = kind == "reservation"
        yield Drill(
            f"{kind}-killed",
            "services",
            f"one {kind} is killed, and restarts",
            _once(5, ProcessKilled(Anyone(replicas))),
            Limits(gap_s_max=1.5 if front else 0, buyer_errors_max=0),
            ci=front,
        )
    for kind, replicas in REPLICAS.items():
        front = kind == "reservation"
        yield Drill(
            f"{kind}-frozen",
            "services",
            f"one {kind} is frozen for 30 s: it takes connections and answers nothing",
            _once(30, NodeFrozen(Anyone(replicas))),
            Limits(gap_s_max=3 if front else 0, buyer_errors_max=0),  # the front's read time-out, then the other one
            times=LONG,
        )
    yield Drill(
        "nginx-killed",
        "services",
        "the front itself is killed, and restarts",
        _once(5, ProcessKilled(Services("nginx"))),
        Limits(gap_s_max=3, buyer_errors_max=0),  # there is one: a container's restart
    )
    yield Drill(
        "apps-all-killed",
        "services",
        "every process of ours is killed at the same moment",
        _once(10, ProcessKilled(APPS)),
        Limits(gap_s_max=15, buyer_errors_max=0),  # ten Pythons start at once on two cores
        times=LONG,
    )


def _network() -> Iterator[Drill]:
    for feed, (sender, receiver) in FEEDS.items():
        yield Drill(
            f"feed-slow-{feed}",
            "network",
            f"200 ms +-50 and 10 % loss on the feed from {sender} to {receiver}, for 25 s",
            _slow(REPLICAS[sender], REPLICAS[receiver]),
            UNFELT,
            ci=feed == "reservation-billing",
        )
    for feed, (sender, receiver) in FEEDS.items():
        # What the receivers say is lost: frames arrive, acknowledgements do not.
        yield Drill(
            f"feed-one-way-{feed}",
            "network",
            f"what {receiver} answers {sender} is lost for 20 s; what it is sent arrives",
            _once(20, CutOff(REPLICAS[receiver], toward=REPLICAS[sender].names, direction="out")),
            UNFELT,
        )


def _slow(senders: Services, receivers: Services) -> Callable[[random.Random], tuple[Stage, ...]]:
    """A link is slow for what leaves a node: so that both directions are, each end has one toward the other."""

    def stages(chance: random.Random) -> tuple[Stage, ...]:
        faults = [
            Slow(target, toward=peers.names, ports=(FEED_PORT,), seed=chance.randrange(2**31))
            for target, peers in ((senders, receivers), (receivers, senders))
        ]
        return (Stage(tuple(faults), 25),)

    return stages


def _one_by_one(*targets: Target) -> Callable[[random.Random], tuple[Stage, ...]]:
    return lambda _chance: tuple(Stage((NodeRestarted(target),), settle=True) for target in targets)


def _rolling() -> Iterator[Drill]:
    limits = Limits(gap_s_max=8, buyer_errors_max=0)  # the primary's stop with its hand-over
    yield Drill(
        "rolling-restart",
        "rolling",
        "everything restarts, one by one, under load",
        _one_by_one(*map(Services, ROLLING)),
        limits,
        times=LONG,
    )
    yield Drill(
        "rolling-restart-one-of-each",
        "rolling",
        "one node of every kind restarts, one by one, the leaders among them: the same in a third of the time",
        _one_by_one(*ONE_OF_EACH),
        limits,
        ci=True,
    )


def _combined() -> Iterator[Drill]:
    yield Drill(
        "primary-and-writer-killed",
        "combined",
        "Postgres' primary and Galera's writer are killed at the same moment for 40 s",
        _once(40, NodeKilled(PRIMARY), NodeKilled(WRITER)),
        Limits(gap_s_max=25, buyer_errors_max=0),
        ci=True,
        times=LONG,
    )
    yield Drill(
        "random-ten",
        "combined",
        "ten faults in a row, drawn by the seed",
        random_ten,
        Limits(gap_s_max=60),  # the next fault may come before the last one is over; safety is what is asked
        times=LONG,
    )


def random_ten(chance: random.Random) -> tuple[Stage, ...]:
    """The same seed draws the same faults; which node has a role is seen when the fault strikes."""
    drawn: list[Callable[[], Fault]] = [
        lambda: NodeKilled(PRIMARY),
        lambda: ProcessKilled(PRIMARY, process="postgres"),
        lambda: NodeFrozen(PRIMARY),
        lambda: NodeKilled(Anyone(STANDBYS)),
        lambda: NodeKilled(Role("etcd leader")),
        lambda: NodeKilled(Anyone(Services("haproxy1", "haproxy2"))),
        lambda: NodeKilled(WRITER),
        lambda: NodeFrozen(WRITER),
        lambda: CutOff(WRITER),
        lambda: NodeKilled(Anyone(Services("proxysql1", "proxysql2"))),
        lambda: NodeKilled(Anyone(RABBITMQ)),
        lambda: CutOff(Anyone(RABBITMQ)),
        lambda: ProcessKilled(Anyone(APPS)),
        lambda: NodeFrozen(Anyone(APPS)),
        lambda: ProcessKilled(APPS),
    ]
    return tuple(Stage((chance.choice(drawn)(),), chance.uniform(3, 12)) for _ in range(10))


DRILLS: tuple[Drill, ...] = (
    *_postgres(),
    *_etcd(),
    *_proxies(),
    *_galera(),
    *_rabbitmq(),
    *_services(),
    *_network(),
    *_rolling(),
    *_combined(),
)


def named(name: str) -> Drill | None:
    return next((drill for drill in DRILLS if drill.name == name), None)
