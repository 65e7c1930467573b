"""Where a stack lives, and on which ports."""

import socket
from pathlib import Path

import pytest

from stack import ports, settings
from stack.errors import StackError
from stack.settings import Settings
from stack.stack import Stack
from tests.support.ports import free_port, free_ports


def test_the_defaults(tmp_path: Path) -> None:
    loaded = settings.load({"TICKETFLOW_RUN_DIR": str(tmp_path)})
    assert loaded == Settings(tmp_path, 17000, 8083)
    assert loaded.base_url == "http://127.0.0.1:8083"


def test_what_the_last_up_was_told_is_remembered(tmp_path: Path) -> None:
    settings.record(Settings(tmp_path, 27000, 9000))
    assert settings.load({"TICKETFLOW_RUN_DIR": str(tmp_path)}) == Settings(tmp_path, 27000, 9000)


def test_the_environment_goes_before_what_is_remembered(tmp_path: Path) -> None:
    settings.record(Settings(tmp_path, 27000, 9000))
    loaded = settings.load({"TICKETFLOW_RUN_DIR": str(tmp_path), "TICKETFLOW_HTTP_PORT": "9001"})
    assert loaded == Settings(tmp_path, 27000, 9001)


@pytest.mark.parametrize("text", ["http", "0", "70000", "-1", "1e3"])
def test_a_wrong_port_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(StackError, match=f"TICKETFLOW_HTTP_PORT={text} is no port"):
        settings.load({"TICKETFLOW_RUN_DIR": str(tmp_path), "TICKETFLOW_HTTP_PORT": text})


def test_a_base_without_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="TICKETFLOW_PORT_BASE=65530 leaves no room"):
        settings.load({"TICKETFLOW_RUN_DIR": str(tmp_path), "TICKETFLOW_PORT_BASE": "65530"})


def test_every_process_has_ports_of_its_own_within_the_span(tmp_path: Path) -> None:
    chosen = Settings(tmp_path, free_ports(settings.PORTS_SPAN), free_port())
    used = [port for program in Stack(chosen).programs() for port in program.ports.values()]
    assert len(used) == len(set(used))
    base = chosen.port_base
    assert {port for port in used if not base <= port < base + settings.PORTS_SPAN} == {chosen.http_port}


@pytest.mark.parametrize(("which", "variable"), [("http", "TICKETFLOW_HTTP_PORT"), ("base", "TICKETFLOW_PORT_BASE")])
def test_a_busy_port_is_named_with_the_setting_that_moves_it(tmp_path: Path, which: str, variable: str) -> None:
    chosen = Settings(tmp_path, free_ports(settings.PORTS_SPAN), free_port())
    port = chosen.http_port if which == "http" else chosen.port_base
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(StackError, match=rf"port {port} \(it\) is in use: .*{variable} \(now {port}\)"):
            ports.check_free(chosen, {"it": port})
    ports.check_free(chosen, {"it": port})
