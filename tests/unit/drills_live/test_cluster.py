"""Docker's words about containers, and what keeps a cluster from being steady."""

import random

import pytest

from drills.cluster import Container, parse_containers
from drills.errors import NemesisFailed
from drills.faults import Anyone, CutOff, NodeKilled, ProcessKilled, Role, Services, Slow
from drills.history import Places
from drills.observation import Observation, missing, waiting
from drills.steadiness import unwell

LISTING = (
    "aaa\tpostgres1\trunning\tUp 5 minutes (healthy)\n"
    "bbb\tnginx\trunning\tUp 2 seconds (health: starting)\n"
    "ccc\tetcd1\tpaused\tUp 3 minutes (Paused)\n"
    "ddd\tmigrate-billing\texited\tExited (0) 4 minutes ago\n"
    "eee\tportal1\trunning\tUp 1 second (unhealthy)\n"
)
WHOLE = {"galera nodes": 3}
STEADY = Observation(100.0, present={"galera nodes": 3}, backlog={"billing": 0}, places=Places(1, 0, 0))


def test_containers() -> None:
    found = parse_containers(LISTING)
    assert found["postgres1"] == Container("aaa", "postgres1", "running", "healthy")
    assert [found[service].health for service in ("nginx", "etcd1", "portal1")] == ["starting", "", "unhealthy"]
    assert [service for service, container in found.items() if container.well] == ["postgres1"]


def test_who_should_run_and_does_not_is_named_and_a_job_that_has_ended_is_not() -> None:
    kept_running = ["etcd1", "nginx", "postgres1", "rabbitmq1"]
    assert unwell(parse_containers(LISTING), kept_running) == [
        "etcd1 is paused",
        "nginx is running and starting",
        "rabbitmq1 is gone",
    ]


def test_a_whole_cluster_misses_nothing() -> None:
    assert missing(STEADY, 101.0, WHOLE) == []


def test_what_was_seen_long_ago_says_nothing() -> None:
    assert missing(STEADY, 200.0, WHOLE) == missing(None, 200.0, WHOLE) == ["the auditor has not been heard of"]


def test_what_is_missing_and_what_is_under_way_are_two_things() -> None:
    seen = Observation(
        100.0,
        present={"galera nodes": 2},
        backlog={"billing": 4},
        queued={"portal.sales": 1},
        undecided={"holds": 2},
        unseen={"portal": "no answer"},
    )
    assert missing(seen, 101.0, WHOLE) == ["portal cannot be seen: no answer", "2 galera nodes, not 3"]
    assert waiting(seen) == [
        "4 events wait in billing",
        "1 messages wait in portal.sales",
        "2 holds undecided",
    ]


def test_targets() -> None:
    roles = {"postgres primary": "postgres2", "postgres standbys": "postgres1 postgres3"}
    chance = random.Random(1)
    assert Role("postgres primary").choose(roles, chance) == ("postgres2",)
    assert Role("postgres standbys").choose(roles, chance) == ("postgres1", "postgres3")
    drawn = {Anyone(Role("postgres standbys")).choose(roles, chance)[0] for _ in range(20)}
    assert drawn == {"postgres1", "postgres3"}
    with pytest.raises(NemesisFailed, match="nobody is seen to be galera writer"):
        Role("galera writer").choose(roles, chance)


def test_faults_describe_themselves() -> None:
    primary = Role("postgres primary")
    assert NodeKilled(primary).describe() == "node killed: postgres primary"
    assert ProcessKilled(primary, process="postgres").describe() == "postgres killed: postgres primary"
    assert CutOff(primary, toward=("etcd",)).describe() == "cut off (toward etcd): postgres primary"
    assert CutOff(Services("bridge1", "bridge2"), direction="out").describe() == "is not heard: bridge1, bridge2"
    assert Slow(Anyone(Services("a", "b")), ports=(9400,)).describe() == (
        "200 ms +-50 and 10% loss on port 9400: one of a, b"
    )
