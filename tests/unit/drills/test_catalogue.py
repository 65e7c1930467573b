"""What a change is tried with before it lands: the drills that CI runs."""

from drills.catalogue import DRILLS, ONE_OF_EACH, ROLLING, named

KINDS = {
    *("postgres", "etcd", "haproxy", "galera", "proxysql", "rabbitmq"),
    *("services", "network", "rolling", "combined"),
}


def test_every_drill_has_a_name_of_its_own() -> None:
    assert len({drill.name for drill in DRILLS}) == len(DRILLS)
    assert named("rolling-restart") is not None
    assert named("no such drill") is None


def test_ci_has_one_drill_of_each_kind() -> None:
    assert {drill.kind for drill in DRILLS} == KINDS
    assert sorted(drill.kind for drill in DRILLS if drill.ci) == sorted(KINDS)


def test_a_rolling_restart_of_one_of_each_leaves_no_kind_out() -> None:
    kinds = {name.rstrip("123") for name in ROLLING}
    assert len(ONE_OF_EACH) == len(kinds) == 12
