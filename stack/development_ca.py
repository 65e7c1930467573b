"""The embedded stack's own CA: its services talk as in the cluster, by mutual TLS. It is for this machine only.

Made at the first `up`, in `.run/tls`; later ones renew what nears its end, and the services take it while they run.
"""

import os
from datetime import datetime
from pathlib import Path

from stack import credentials
from stack.credentials.table import Tier, ca, tls
from stack.servers.rabbitmq import RabbitMQTls

SERVICES = ("reservation", "billing", "bridge", "portal")  # their roles, of which the allow-lists speak
HOSTS = ("localhost",)  # 127.0.0.1 goes with it


def make(into: Path, now: datetime | None = None) -> None:
    """Makes what is missing, renews what nears its end. Raises StackError."""
    owner = os.geteuid()  # as whom the services run
    into.mkdir(mode=0o700, exist_ok=True)
    tiers = [Tier(role, owner, tls(role, HOSTS, "feed")) for role in SERVICES]
    tiers.append(Tier("rabbitmq", owner, tls("rabbitmq", HOSTS)))
    credentials.make(into, now, [ca(owner), *tiers])


def rabbitmq_tls(tls: Path) -> RabbitMQTls:
    folder = tls / "rabbitmq"
    return RabbitMQTls(folder / "tls.crt", folder / "tls.key", folder / "ca.crt")


def tls_settings(tls: Path, role: str) -> dict[str, object]:
    """For a service that has this role."""
    folder = tls / role
    return {
        "FEED_TLS_CERT": folder / "feed.crt",
        "FEED_TLS_KEY": folder / "feed.key",
        "FEED_TLS_CA": folder / "ca.crt",
    }
