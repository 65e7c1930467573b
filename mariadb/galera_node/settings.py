"""What the environment says, and where things lie in the image."""

import os
import socket
from collections.abc import Mapping
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
SECRETS = ("root-password", "billing-password", "audit-password", "monitor-password")
REPORT_PORT = 4569  # next to Galera's 4567 and 4568


@dataclass(frozen=True)
class Settings:
    """``addresses``: of every node by name. ``check_account``: whether the stand-in's passwordless account is made."""

    node: str
    addresses: Mapping[str, str]
    check_account: bool

    @property
    def address(self) -> str:
        return socket.gethostbyname(self.addresses[self.node])

    @property
    def peers(self) -> tuple[str, ...]:
        return tuple(name for name in self.addresses if name != self.node)


def from_environment() -> Settings:
    node = os.environ.get("GALERA_NODE") or socket.gethostname()
    nodes = os.environ.get("GALERA_NODES", "mariadb1,mariadb2,mariadb3")
    addresses = {name: address or name for name, _, address in (entry.partition("=") for entry in nodes.split(","))}
    if node not in addresses:
        raise SystemExit(f"GALERA_NODE {node} is not one of GALERA_NODES {nodes}")
    return Settings(node, addresses, os.environ.get("GALERA_CHECK_ACCOUNT") == "yes")


def credential(name: str) -> str:
    """A secret of this tier; never empty."""
    try:
        value = (CREDENTIALS / name).read_text().strip()
    except OSError as error:
        raise SystemExit(f"the credential {name} cannot be read: {error}") from error
    if not value:
        raise SystemExit(f"the credential {name} is empty")
    return value
