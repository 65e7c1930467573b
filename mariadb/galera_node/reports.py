"""Nodes tell each other what they are: one JSON line to whoever connects, then the connection is closed.

Nothing is read from a stranger, and nothing secret is said.
"""

import json
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from mariadb.galera_node.election import Phase, Report
from mariadb.galera_node.position import Position
from mariadb.galera_node.settings import REPORT_PORT

POLL_S = 0.2
ANSWER_TIMEOUT_S = 0.8  # a busy machine may take its time; a node that is away costs only its own watcher
STALE_S = 2.0  # older words count as silence
REPORT_BYTES_MAX = 1024


def encode(report: Report) -> bytes:
    position = str(report.position) if report.position else None
    fields = {
        "node": report.node,
        "phase": report.phase.value,
        "position": position,
        "born": report.born,
        "component": sorted(report.component),
    }
    return json.dumps(fields).encode() + b"\n"


def decode(line: bytes) -> Report:
    """Raises ValueError."""
    try:
        fields = json.loads(line)
        history, _, seqno = (fields["position"] or "").rpartition(":")
        position = Position(history, int(seqno)) if history else None
        component = frozenset(map(str, fields["component"]))
        return Report(str(fields["node"]), Phase(fields["phase"]), position, bool(fields["born"]), component)
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a report: {error}") from error


@dataclass(frozen=True)
class Heard:
    """``address``: where the words came from. ``at_s``: the monotonic time of the question: how old they may be."""

    report: Report
    address: str
    at_s: float


def ask(node: str, address: str) -> Heard | None:
    """What ``node`` says of itself now; None when it does not answer, or another one answers in its place."""
    at_s = time.monotonic()
    try:
        with socket.create_connection((address, REPORT_PORT), ANSWER_TIMEOUT_S) as connection:
            connection.settimeout(ANSWER_TIMEOUT_S)
            came_from = str(connection.getpeername()[0])
            line = b""
            while not line.endswith(b"\n") and len(line) < REPORT_BYTES_MAX:
                chunk = connection.recv(REPORT_BYTES_MAX)
                if not chunk:
                    break
                line += chunk
        report = decode(line)
    except (OSError, ValueError):
        return None
    return Heard(report, came_from, at_s) if report.node == node else None


class Watcher(threading.Thread):
    """Keeps the latest words of one peer. A thread of its own: one that is away must not hold up the others."""

    def __init__(self, node: str, address: str) -> None:
        super().__init__(name=f"watch {node}", daemon=True)
        self.node = node
        self._address = address
        self._heard: Heard | None = None

    def run(self) -> None:
        while True:
            self._heard = ask(self.node, self._address)
            time.sleep(POLL_S)

    def latest(self) -> Heard | None:
        heard = self._heard
        return heard if heard and time.monotonic() - heard.at_s < STALE_S else None


class Announcer(threading.Thread):
    """Answers on REPORT_PORT with what ``report()`` gives."""

    def __init__(self, report: Callable[[], Report]) -> None:
        super().__init__(name="announce", daemon=True)
        self._report = report
        self._listener = socket.create_server(("", REPORT_PORT), backlog=16)

    def run(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with suppress(OSError), connection:
                connection.settimeout(ANSWER_TIMEOUT_S)
                connection.sendall(encode(self._report()))
