"""Settings of the portal, from PORTAL_*. A default stands where a wrong guess could do no harm."""

from pathlib import Path

import msgspec

from ticketflow.runtime.address import Address
from ticketflow.runtime.settings import Secret, host_name
from ticketflow.runtime.tls_settings import ROLE, check_amqp, check_tls


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the migrations need."""

    database_dsn: Secret
    instance: str = msgspec.field(default_factory=host_name)  # unique among the replicas
    log_level: str = "info"


class PortalSettings(DatabaseSettings, frozen=True, kw_only=True):
    http_host: str = "127.0.0.1"
    http_port: int
    amqp_url: Secret  # several nodes: comma-separated
    amqp_tls_allowed: tuple[str, ...] = (ROLE + "rabbitmq",)  # where we consume; our certificate is the feed's
    reservation_feed: tuple[Address, ...]
    admin_key: Secret
    feed_tls_cert: Path | None = None
    feed_tls_key: Path | None = None
    feed_tls_ca: Path | None = None
    reservation_feed_tls_allowed: tuple[str, ...] = (ROLE + "reservation",)  # whom we feed

    def __post_init__(self) -> None:
        files = self.feed_tls_cert, self.feed_tls_key, self.feed_tls_ca
        check_tls("PORTAL", files, {"RESERVATION_FEED_TLS_ALLOWED": self.reservation_feed_tls_allowed})
        check_amqp("PORTAL", self.amqp_url, self.feed_tls_cert, self.amqp_tls_allowed)
