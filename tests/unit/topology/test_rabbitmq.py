"""RabbitMQ's users: what they may do is what the services do, and their passwords do not lie about."""

import base64
import hashlib
import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

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
