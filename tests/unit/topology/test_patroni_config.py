"""What patroni.yml, postgres.yml, hba.yml and HAProxy's door to them must say, whatever else is changed in them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "patroni"
PROXIES = 2


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return content


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    settings: dict[str, Any] = read("patroni.yml")["bootstrap"]["dcs"]
    return settings


@pytest.fixture(scope="module")
def parameters() -> dict[str, Any]:
    found: dict[str, Any] = read("postgres.yml")["postgresql"]["parameters"]
    return found


@pytest.fixture(scope="module")
def hba() -> list[list[str]]:
    return [line.split() for line in read("hba.yml")["postgresql"]["pg_hba"]]


@pytest.fixture(scope="module")
def haproxy() -> str:
    return (ROOT / "haproxy" / "haproxy.cfg").read_text()


def test_a_primary_without_etcd_gives_up_before_its_lock_ends(cluster: dict[str, Any]) -> None:
    assert cluster["loop_wait"] + 2 * cluster["retry_timeout"] <= cluster["ttl"]


def test_etcd_elects_within_the_time_that_patroni_tries(cluster: dict[str, Any]) -> None:
    [election_ms] = re.findall(r"--election-timeout=(\d+)", (FOLDER / "etcd" / "entrypoint.sh").read_text())

    assert 2 * int(election_ms) <= 1000 * cluster["retry_timeout"]


def test_nothing_is_acknowledged_by_one_node_alone(cluster: dict[str, Any], parameters: dict[str, Any]) -> None:
    assert cluster["synchronous_mode"] == "quorum"
    assert cluster["synchronous_mode_strict"] is True
    assert cluster["synchronous_node_count"] == 1
    assert [parameters[name] for name in ("fsync", "full_page_writes", "synchronous_commit")] == ["on"] * 3


def test_a_node_comes_back_without_hands(cluster: dict[str, Any]) -> None:
    assert cluster["postgresql"]["use_pg_rewind"] is True
    assert cluster["postgresql"]["remove_data_directory_on_rewind_failure"] is True
    assert "data-checksums" in read("patroni.yml")["bootstrap"]["initdb"]


def test_a_primary_whose_etcd_is_gone_asks_the_other_nodes(cluster: dict[str, Any]) -> None:
    assert cluster["failsafe_mode"] is True


def test_nobody_is_trusted(hba: list[list[str]]) -> None:
    assert {line[-1] for line in hba} == {"scram-sha-256", "peer"}


def test_who_comes_over_the_network_comes_by_tls_from_the_nodes_networks(hba: list[list[str]]) -> None:
    remote = [line for line in hba if line[0] != "local"]

    assert {line[0] for line in remote} == {"hostssl"}
    assert {line[3] for line in remote} == {"samenet"}


def test_the_superuser_has_no_way_in_over_the_network(hba: list[list[str]]) -> None:
    assert [line[0] for line in hba if line[2] == "postgres"] == ["local"]
    assert "all" not in {line[2] for line in hba}


def test_a_service_reaches_its_own_database_only(hba: list[list[str]]) -> None:
    assert {line[2]: line[1] for line in hba if line[2] in ("reservation", "portal")} == {
        "reservation": "reservation",
        "portal": "portal",
    }


def test_no_password_is_in_the_files() -> None:
    texts = [file.read_text() for file in FOLDER.glob("*.yml")]

    assert not [text for text in texts if re.search(r"password\s*:", text)]


def test_both_haproxies_together_leave_room_on_the_primary(cluster: dict[str, Any], haproxy: str) -> None:
    [each] = re.findall(r"default-server .*\bmaxconn (\d+)", haproxy)

    assert PROXIES * int(each) <= cluster["postgresql"]["parameters"]["max_connections"] - 10


def test_haproxy_looks_up_no_name_and_cuts_the_sessions_of_a_node_that_is_down(haproxy: str) -> None:
    servers = re.findall(r"^ +server (\S+) (\S+) check$", haproxy, re.MULTILINE)

    assert servers == [(f"postgres{n}", f'"${{TICKETFLOW_NET}}.3.8{n}:5432"') for n in (1, 2, 3)] * 2
    assert "on-marked-down shutdown-sessions" in haproxy


def test_haproxy_has_cut_off_an_old_primary_before_there_can_be_a_new_one(
    cluster: dict[str, Any], haproxy: str
) -> None:
    [fall] = re.findall(r"\bfall (\d+)", haproxy)
    [check_s] = re.findall(r"timeout check (\d+)s", haproxy)
    soonest_s = cluster["ttl"] - 2 * cluster["loop_wait"]

    assert int(fall) * (int(check_s) + 1) < soonest_s
