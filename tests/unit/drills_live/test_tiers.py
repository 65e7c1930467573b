"""The tiers' own words about themselves."""

from typing import Any

from drills.auditor import tiers
from drills.auditor.watch import Counters


def primary(timeline: int, *standbys: str) -> dict[str, Any]:
    replication = [{"application_name": name, "state": "streaming", "sync_state": "quorum"} for name in standbys]
    return {"role": "primary", "state": "running", "timeline": timeline, "replication": replication}


REPLICA = {"role": "replica", "state": "running", "timeline": 3, "replication_state": "streaming"}


def test_postgres_as_it_should_be() -> None:
    said = {"postgres1": REPLICA, "postgres2": primary(3, "postgres1", "postgres3"), "postgres3": REPLICA}
    assert tiers.postgres(said) == (
        {"postgres primary": "postgres2", "postgres timeline": "3", "postgres standbys": "postgres1 postgres3"},
        {"postgres standbys": 2},
    )


def test_of_two_primaries_the_one_on_the_higher_timeline_is_it() -> None:
    roles, _ = tiers.postgres({"postgres1": primary(3), "postgres2": primary(4)})
    assert roles["postgres primary"] == "postgres2"


def test_a_primary_that_is_still_starting_is_none() -> None:
    assert tiers.postgres({"postgres1": primary(3) | {"state": "starting"}}) == ({}, {"postgres standbys": 0})


def test_a_base_backup_is_no_standby() -> None:
    said = {"postgres1": primary(1, "pg_basebackup", "postgres2"), "postgres2": REPLICA}
    assert tiers.postgres(said)[1] == {"postgres standbys": 1}


def test_etcd_with_a_member_that_has_lost_the_others() -> None:
    leader = "etcd_server_has_leader 1\netcd_server_is_leader 1\n"
    follower = "# HELP etcd_server_is_leader x\netcd_server_has_leader 1\netcd_server_is_leader 0\n"
    alone = "etcd_server_has_leader 0\netcd_server_is_leader 0\n"
    assert tiers.etcd({"etcd1": follower, "etcd2": leader, "etcd3": alone}) == (
        {"etcd leader": "etcd2"},
        {"etcd members": 2},
    )


def test_galera_counts_who_is_synced_in_the_primary_component() -> None:
    synced = {"wsrep_cluster_status": "Primary", "wsrep_local_state_comment": "Synced"}
    nodes = {
        "mariadb1": synced,
        "mariadb2": synced | {"wsrep_local_state_comment": "Joined"},
        "mariadb3": synced | {"wsrep_cluster_status": "non-Primary"},
    }
    assert tiers.galera(nodes) == ({"galera nodes": "mariadb1"}, {"galera nodes": 1})


def test_rabbitmq_whose_leader_is_the_only_one_to_count_messages() -> None:
    term = 'rabbitmq_detailed_raft_term_total{vhost="/",queue="portal.sales"} 2\n'
    leader = (
        term
        + 'rabbitmq_detailed_queue_messages{vhost="/",queue="portal.sales"} 5\n'
        + 'rabbitmq_detailed_queue_messages{vhost="/",queue="portal.sales.dead"} 0\n'
    )
    assert tiers.rabbitmq({"rabbitmq1": term, "rabbitmq2": leader, "rabbitmq3": ""}, "portal.sales") == (
        {"rabbitmq leader": "rabbitmq2"},
        {"rabbitmq nodes": 3, "rabbitmq queue members": 2},
        {"portal.sales": 5, "portal.sales.dead": 0},
    )


def test_series_with_labels_that_hold_quotes_and_braces() -> None:
    text = 'm{a="x\\"y}",b="z"} 1.5\nmm 2\nm 3\n'
    assert list(tiers.series(text, "m")) == [({"a": 'x\\"y}', "b": "z"}, 1.5), ({}, 3.0)]


def test_relays() -> None:
    assert tiers.relays([("relay:billing", "billing-listener1")]) == {"relay of billing": "billing-listener1"}


def test_rewinds_are_counted_over_restarts_from_the_first_look_on() -> None:
    counters = Counters()
    for process, value in (("one", 3), ("one", 5), ("two", 0), ("one", 1), ("two", 2)):
        counters.see(process, "billing", value)
    assert counters.by_stream() == {"billing": 2 + 1 + 2}
