"""What the environment says, and where things lie in the image."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

HOME = Path("/var/lib/mysql")
DATA = HOME / "data"
RUN = Path("/run/galera")
CONFIG = Path("/etc/mysql/my.cnf")
EMPTY = Path("/usr/lib/ticketflow/empty")
CREDENTIALS = Path("/run/credentials")
VIEW = RUN / "view"
FORCE = RUN / "force"
REPORT_PORT = 4569  # next to Galera's 4567 and 4568


@dataclass(frozen=True)
class Settings:
    """``check_account``: whether the passwordless account for the stand-in's health check is made."""

    node: str
    nodes: tuple[str, ...]
    check_account: bool

    @property
    def peers(self) -> tuple[str, ...]:
        return tuple(name for name in self.nodes if name != self.node)


def from_environment() -> Settings:
    node = os.environ.get("GALERA_NODE") or socket.gethostname()
    nodes = tuple(os.environ.get("GALERA_NODES", "mariadb1,mariadb2,mariadb3").split(","))
    if node not in nodes:
        raise SystemExit(f"GALERA_NODE {node} is not one of GALERA_NODES {', '.join(nodes)}")
    return Settings(node, nodes, os.environ.get("GALERA_CHECK_ACCOUNT") == "yes")


def credential(name: str) -> str:
    """A secret of this tier; never empty."""
    value = (CREDENTIALS / name).read_text().strip()
    if not value:
        raise SystemExit(f"the credential {name} is empty")
    return value
