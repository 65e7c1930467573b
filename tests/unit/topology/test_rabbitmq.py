"""RabbitMQ's users: what they may do is what the services do, and their passwords do not lie about.

And its doors: from elsewhere by mutual TLS only, which the services' settings and credentials fit.
"""

import base64
import hashlib
import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from stack.credentials.table import MOUNTED_AT, TIERS
from ticketflow.events.topology import DEAD_EXCHANGE, EVENTS_EXCHANGE, SALES_QUEUE, TOPOLOGY

FOLDER = Path(__file__).parents[3] / "rabbitmq"
PASSWORDS = {"admin": "aaa", "bridge": "bbb", "portal": "ppp"}
NAMES = [*(exchange.name for exchange in TOPOLOGY.exchanges), *(queue.name for queue in TOPOLOGY.queues)]


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = spec_from_file_location("rabbitmq_definitions", FOLDER / "definitions.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    (tmp_path / "erlang-cookie").write_text("cookie\n")
    for user, password in PASSWORDS.items():
        (tmp_path / f"{user}-password").write_text(password + "\n")
    return tmp_path


@pytest.fixture
def definitions(module: ModuleType, credentials: Path) -> Any:
    return module.definitions(credentials)


def may(definitions: Any, user: str, what: str, name: str) -> bool:
    [permissions] = [each for each in definitions["permissions"] if each["user"] == user]
    return re.search(permissions[what], name) is not None


def test_a_password_is_there_as_rabbitmq_checks_it_and_nowhere_in_clear(definitions: Any) -> None:
    for user in definitions["users"]:
        salted = base64.b64decode(user["password_hash"])
        assert salted[4:] == hashlib.sha256(salted[:4] + PASSWORDS[user["name"]].encode()).digest()
    assert not any(f'"{password}' in json.dumps(definitions) for password in PASSWORDS.values())


def test_equal_passwords_have_different_hashes(module: ModuleType, credentials: Path) -> None:
    (credentials / "bridge-password").write_text(PASSWORDS["portal"])

    hashes = [user["password_hash"] for user in module.definitions(credentials)["users"]]

    assert len(set(hashes)) == len(hashes)


def test_every_start_says_the_same(module: ModuleType, credentials: Path, definitions: Any) -> None:
    assert module.definitions(credentials) == definitions


def test_there_are_no_other_users(definitions: Any) -> None:
    assert {user["name"]: user["tags"] for user in definitions["users"]} == {
        "admin": "administrator",
        "bridge": "",
        "portal": "",
    }


@pytest.mark.parametrize("user", ["bridge", "portal"])
def test_both_services_may_declare_the_topology_and_nothing_else(definitions: Any, user: str) -> None:
    assert all(may(definitions, user, "configure", name) for name in NAMES)
    assert not any(may(definitions, user, "configure", name) for name in ("amq.topic", "portal.sales.other", "x"))
    for queue in TOPOLOGY.queues:  # to give a queue a dead-letter exchange
        assert may(definitions, user, "read", queue.name)
    assert may(definitions, user, "write", DEAD_EXCHANGE)
    for binding in TOPOLOGY.bindings:
        assert may(definitions, user, "write", binding.queue)
        assert may(definitions, user, "read", binding.exchange)


def test_only_the_bridge_may_publish_events(definitions: Any) -> None:
    assert may(definitions, "bridge", "write", EVENTS_EXCHANGE)
    assert not may(definitions, "portal", "write", EVENTS_EXCHANGE)
    assert may(definitions, "portal", "read", SALES_QUEUE)


def settings() -> dict[str, str]:
    lines = (FOLDER / "rabbitmq.conf").read_text().splitlines()
    return dict(line.split(" = ", 1) for line in lines if " = " in line and not line.startswith("#"))


def files_of(tier: str) -> set[str]:
    return {f"{MOUNTED_AT}/{name}" for each in TIERS if each.name == tier for name in each.files}


def test_from_elsewhere_rabbitmq_is_reached_by_mutual_tls_only() -> None:
    doors = {name: value for name, value in settings().items() if name.startswith("listeners.")}
    assert doors == {"listeners.ssl.default": "5671", "listeners.tcp.local": "127.0.0.1:5672"}
    tls = {name: value for name, value in settings().items() if name.startswith("ssl_options.")}
    assert tls.pop("ssl_options.verify") == "verify_peer"
    assert tls.pop("ssl_options.fail_if_no_peer_cert") == "true"
    assert [tls.pop(name) for name in sorted(tls) if ".versions." in name] == ["tlsv1.3"]
    assert set(tls) == {f"ssl_options.{part}file" for part in ("cacert", "cert", "key")}
    assert set(tls.values()) <= files_of("rabbitmq")


def test_the_image_has_what_its_scripts_call() -> None:
    copied = (FOLDER / "Dockerfile").read_text()
    watchdog = (FOLDER / "watchdog.sh").read_text()
    assert "/usr/local/lib/ticketflow/serves.py" in watchdog
    assert "COPY definitions.py serves.py /usr/local/lib/ticketflow/" in copied
    assert "ssl_pem_cache_clean 1000" in (FOLDER / "entrypoint.sh").read_text(), "else renewed files wait two minutes"


@pytest.mark.parametrize("service", ["bridge1", "bridge2", "portal1", "portal2"])
def test_who_goes_to_rabbitmq_has_a_certificate_for_it(service: str) -> None:
    found = yaml.safe_load((FOLDER.parent / "docker-compose.yml").read_text())["services"][service]
    tier = service[:-1]
    assert f"credentials-{tier}:/run/credentials:ro" in found["volumes"]
    names = ("AMQP_URL_FILE", "FEED_TLS_CERT", "FEED_TLS_KEY", "FEED_TLS_CA")
    named = {found["environment"][f"{tier.upper()}_{name}"] for name in names}
    assert named == {f"{MOUNTED_AT}/{name}" for name in ("amqps-url", "feed.crt", "feed.key", "ca.crt")}
    assert named <= files_of(tier)
