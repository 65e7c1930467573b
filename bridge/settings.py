"""Settings of the bridge, from BRIDGE_*. A default stands where a wrong guess could do no harm."""

from pathlib import Path

import msgspec

from ticketflow.runtime.settings import Secret, host_name
from ticketflow.runtime.tls_settings import ROLE, check_amqp, check_tls


class BridgeSettings(msgspec.Struct, frozen=True, kw_only=True):
    http_host: str = "127.0.0.1"
    http_port: int
    feed_host: str = "127.0.0.1"
    feed_port: int
    amqp_url: Secret  # several nodes: comma-separated
    amqp_tls_allowed: tuple[str, ...] = (ROLE + "rabbitmq",)  # where we publish; our certificate is the feed's
    feed_tls_cert: Path | None = None
    feed_tls_key: Path | None = None
    feed_tls_ca: Path | None = None
    feed_tls_allowed: tuple[str, ...] = (ROLE + "billing",)  # who may feed us
    instance: str = msgspec.field(default_factory=host_name)  # unique among the replicas
    log_level: str = "info"

    def __post_init__(self) -> None:
        files = self.feed_tls_cert, self.feed_tls_key, self.feed_tls_ca
        check_tls("BRIDGE", files, {"FEED_TLS_ALLOWED": self.feed_tls_allowed}, listens_on=self.feed_host)
        check_amqp("BRIDGE", self.amqp_url, self.feed_tls_cert, self.amqp_tls_allowed)
