"""Settings of the service: RESERVATION_<NAME>, or RESERVATION_<NAME>_FILE for secrets."""

from pathlib import Path

import msgspec

from ticketflow.runtime.address import Address
from ticketflow.runtime.settings import Secret, host_name
from ticketflow.runtime.tls_settings import ROLE, check_tls

SEAT_MAP_STALE_MS_MAX = 600_000  # what is older than ten minutes is no seat map


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the migrations need."""

    database_dsn: Secret  # postgresql://user:pass@host:port[,host:port]/db
    instance: str = msgspec.field(default_factory=host_name)  # unique among the replicas
    log_level: str = "info"


class ReservationSettings(DatabaseSettings, frozen=True, kw_only=True):
    http_host: str = "127.0.0.1"
    http_port: int
    feed_host: str = "127.0.0.1"
    feed_port: int  # listens for the stream "portal"
    billing_feed: tuple[Address, ...]
    admin_key: Secret
    hold_token_keys: tuple[Secret, ...]  # shared with billing; the first signs, all verify
    database_replica_dsn: Secret | None = None  # streaming replicas, for what may be a little old: seat maps
    seat_map_staleness_ms: int = 1000  # what a seat map or an event's page shows was so that long ago at most
    seat_map_stale_max_ms: int = 30_000  # the same while the store does not answer
    seat_map_bytes_max: int = 64 * 1024 * 1024  # memory for seat maps; one of 5,000 seats counts as 2.4 MB
    feed_tls_cert: Path | None = None
    feed_tls_key: Path | None = None
    feed_tls_ca: Path | None = None
    feed_tls_allowed: tuple[str, ...] = (ROLE + "portal",)  # who may feed us
    billing_feed_tls_allowed: tuple[str, ...] = (ROLE + "billing",)  # whom we feed

    def __post_init__(self) -> None:
        if not self.hold_token_keys:
            raise ValueError("RESERVATION_HOLD_TOKEN_KEYS needs one key at least")
        if not 0 <= self.seat_map_staleness_ms <= self.seat_map_stale_max_ms <= SEAT_MAP_STALE_MS_MAX:
            raise ValueError(
                "RESERVATION_SEAT_MAP_STALENESS_MS cannot be more than RESERVATION_SEAT_MAP_STALE_MAX_MS, and that not"
                f" more than {SEAT_MAP_STALE_MS_MAX}"
            )
        if self.seat_map_bytes_max < 0:
            raise ValueError("RESERVATION_SEAT_MAP_BYTES_MAX cannot be negative")
        check_tls(
            "RESERVATION",
            (self.feed_tls_cert, self.feed_tls_key, self.feed_tls_ca),
            {"FEED_TLS_ALLOWED": self.feed_tls_allowed, "BILLING_FEED_TLS_ALLOWED": self.billing_feed_tls_allowed},
            listens_on=self.feed_host,
        )
