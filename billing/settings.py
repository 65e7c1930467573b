"""Settings of billing's processes, from BILLING_*."""

from pathlib import Path

import msgspec

from ticketflow.runtime.address import Address
from ticketflow.runtime.settings import Secret, host_name
from ticketflow.runtime.tls_settings import ROLE, check_tls


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the migrations need, and every process."""

    database_hosts: tuple[Address, ...]
    database_name: str
    database_user: str
    database_password: Secret
    instance: str = msgspec.field(default_factory=host_name)  # unique among the replicas
    log_level: str = "info"


class WebSettings(DatabaseSettings, frozen=True, kw_only=True):
    """The API. ``hold_token_keys`` are shared with reservation."""

    http_host: str = "127.0.0.1"
    http_port: int
    provider_url: str
    provider_key: Secret
    admin_key: Secret
    hold_token_keys: tuple[Secret, ...]

    def __post_init__(self) -> None:
        if not self.hold_token_keys:
            raise ValueError("BILLING_HOLD_TOKEN_KEYS names no key")


class ListenerSettings(DatabaseSettings, frozen=True, kw_only=True):
    """The feed's listener, the relay to the bridge, and the workers. All three TLS files are given, or none."""

    http_host: str = "127.0.0.1"
    http_port: int
    feed_host: str = "127.0.0.1"
    feed_port: int
    bridge_feed: tuple[Address, ...]
    provider_url: str
    provider_key: Secret
    feed_tls_cert: Path | None = None
    feed_tls_key: Path | None = None
    feed_tls_ca: Path | None = None
    feed_tls_allowed: tuple[str, ...] = (ROLE + "reservation",)  # who may feed us
    bridge_feed_tls_allowed: tuple[str, ...] = (ROLE + "bridge",)  # whom we feed

    def __post_init__(self) -> None:
        check_tls(
            "BILLING",
            (self.feed_tls_cert, self.feed_tls_key, self.feed_tls_ca),
            {"FEED_TLS_ALLOWED": self.feed_tls_allowed, "BRIDGE_FEED_TLS_ALLOWED": self.bridge_feed_tls_allowed},
            listens_on=self.feed_host,
        )
