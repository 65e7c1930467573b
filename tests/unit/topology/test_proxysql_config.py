"""What proxysql.cnf and its stand-in's haproxy.cfg must say, whatever else is changed in them."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.topology.libconfig import parse

FOLDER = Path(__file__).parents[3] / "proxysql"
NODES = {"mariadb1": ".5.101", "mariadb2": ".5.102", "mariadb3": ".5.103"}
MAX_CONNECTIONS_OF_A_NODE = 200  # mariadb/ticketflow.cnf
PROXIES = 2


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return parse((FOLDER / "proxysql.cnf").read_text())


@pytest.fixture(scope="module")
def standin() -> str:
    return (FOLDER / "standin" / "haproxy.cfg").read_text()


def test_there_is_one_writer_and_the_monitor_moves_the_nodes(config: dict[str, Any]) -> None:
    [hostgroups] = config["mysql_galera_hostgroups"]

    assert hostgroups["max_writers"] == 1
    assert hostgroups["active"] == 1
    assert [hostgroups[f"{role}_hostgroup"] for role in ("writer", "backup_writer", "reader", "offline")] == [
        10,
        20,
        30,
        9999,
    ]
    assert all(server["hostgroup"] == 10 for server in config["mysql_servers"])


def test_every_proxysql_comes_to_the_same_writer(config: dict[str, Any]) -> None:
    weights = [server["weight"] for server in config["mysql_servers"]]

    assert weights == sorted(set(weights), reverse=True)


def test_a_statement_is_never_sent_twice(config: dict[str, Any]) -> None:
    assert config["mysql_variables"]["query_retries_on_failure"] == 0


def test_a_transaction_stays_where_it_began(config: dict[str, Any]) -> None:
    assert all(user["transaction_persistent"] == 1 for user in config["mysql_users"])


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT state FROM orders WHERE order_id = %s",
        "SELECT state FROM orders WHERE order_id = %s FOR UPDATE",
        "UPDATE orders SET state = 'CONFIRMED' WHERE order_id = %s",
        "BEGIN",
    ],
)
def test_what_billing_says_goes_to_the_writer(config: dict[str, Any], statement: str) -> None:
    assert destination(config, "billing", statement) == 10


def test_of_other_users_only_plain_reads_leave_the_writer(config: dict[str, Any]) -> None:
    config["mysql_users"][0]["default_hostgroup"] = 10

    assert destination(config, "report", "SELECT COUNT(*) FROM orders") == 30
    assert destination(config, "report", "SELECT state FROM orders FOR UPDATE") == 10
    assert destination(config, "report", "DELETE FROM orders") == 10


def destination(config: dict[str, Any], user: str, statement: str) -> int:
    for rule in sorted(config["mysql_query_rules"], key=lambda rule: int(rule["rule_id"])):
        pattern = rule.get("match_pattern") or rule["match_digest"]
        if rule.get("username", user) == user and re.search(pattern, statement, re.IGNORECASE):
            assert rule["apply"] == 1
            return int(rule["destination_hostgroup"])
    return int(config["mysql_users"][0]["default_hostgroup"])


def test_the_ping_is_slower_than_the_galera_check(config: dict[str, Any]) -> None:
    variables = config["mysql_variables"]

    assert variables["monitor_ping_interval"] >= 10 * variables["monitor_galera_healthcheck_interval"]


def test_a_frozen_writer_is_given_up_within_two_seconds(config: dict[str, Any]) -> None:
    check = {name: config["mysql_variables"][f"monitor_galera_healthcheck_{name}"] for name in ("interval", "timeout")}
    misses = config["mysql_variables"]["monitor_galera_healthcheck_max_timeout_count"]

    assert misses * (check["interval"] + check["timeout"]) <= 2000


def test_no_password_stands_in_the_file(config: dict[str, Any]) -> None:
    secrets = [
        config["mysql_variables"]["monitor_password"],
        config["admin_variables"]["admin_credentials"].partition(":")[2],
        config["admin_variables"]["stats_credentials"].partition(":")[2],
        *(user["password"] for user in config["mysql_users"]),
    ]

    assert all(re.fullmatch(r"@[A-Z]+_PASSWORD@", secret) for secret in secrets)


def test_the_entrypoint_fills_every_placeholder() -> None:
    template = (FOLDER / "proxysql.cnf").read_text()
    entrypoint = (FOLDER / "entrypoint.sh").read_text()

    assert set(re.findall(r"@[A-Z_]+@", template)) == set(re.findall(r"s/(@[A-Z_]+@)/", entrypoint))


def test_the_administrator_comes_from_inside_only(config: dict[str, Any]) -> None:
    assert config["admin_variables"]["mysql_ifaces"] == "127.0.0.1:6032"


def test_both_configurations_name_the_same_nodes(config: dict[str, Any], standin: str) -> None:
    ours = {server["comment"]: server["address"].removeprefix("@NET@") for server in config["mysql_servers"]}
    theirs = dict(re.findall(r'server (\w+) "\$\{TICKETFLOW_NET\}([\d.]+):3306"', standin))

    assert ours == theirs == NODES


def test_both_configurations_listen_at_the_same_port(config: dict[str, Any], standin: str) -> None:
    assert config["mysql_variables"]["interfaces"] == "0.0.0.0:6033"
    assert "bind :6033" in standin


def test_both_proxies_together_do_not_exhaust_a_node(config: dict[str, Any], standin: str) -> None:
    [maxconn] = re.findall(r"default-server .* maxconn (\d+)", standin)

    assert PROXIES * int(maxconn) < MAX_CONNECTIONS_OF_A_NODE
    assert all(PROXIES * server["max_connections"] < MAX_CONNECTIONS_OF_A_NODE for server in config["mysql_servers"])


def test_the_stand_in_has_one_writer_and_two_backups_that_lose_their_sessions(standin: str) -> None:
    servers = re.findall(r"^ +server (\w+) \S+ (.*)$", standin, re.MULTILINE)

    assert [name for name, options in servers if "backup" not in options.split()] == ["mariadb1"]
    assert "on-marked-down shutdown-sessions" in standin
    assert "on-marked-up shutdown-backup-sessions" in dict(servers)["mariadb1"]


def test_the_stand_ins_check_states_its_own_length(standin: str) -> None:
    [header] = re.findall(r"send-binary ([0-9a-f]{10})\n +tcp-check send ", standin)
    [statement] = re.findall(r'tcp-check send "(.*)"', standin)

    length = int.from_bytes(bytes.fromhex(header)[:3], "little")
    assert length == 1 + len(statement)  # COM_QUERY and the text


@pytest.mark.parametrize(
    "condition",
    [
        "('WSREP_CLUSTER_STATUS','Primary')",
        "('WSREP_READY','ON')",
        "('WSREP_LOCAL_STATE','4')",
        "@@wsrep_reject_queries='NONE'",
        "@@wsrep_desync=0",
        "wsrep_sync_wait=0",
    ],
)
def test_the_stand_in_asks_for_everything_that_makes_a_node_fit(standin: str, condition: str) -> None:
    assert condition in standin
