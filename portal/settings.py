"""Settings of the portal, from PORTAL_*. A default stands where a wrong guess could do no harm."""

from pathlib import Path

import msgspec

from portal.mail_server import MailServer, is_address
from ticketflow.runtime.address import Address
from ticketflow.runtime.settings import Secret, host_name
from ticketflow.runtime.tls_settings import ROLE, check_amqp, check_tls


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the migrations and the commands need."""

    database_dsn: Secret
    instance: str = msgspec.field(default_factory=host_name)  # unique among the replicas
    log_level: str = "info"
    smtp_url: Secret | None = None  # buyers are told by mail; without it no mail is ever written, nor sent later
    smtp_ca: Path | None = None  # who vouches for the mail server, if not one whom the system believes

    def __post_init__(self) -> None:
        self.mail_server()

    def mail_server(self) -> MailServer | None:
        """Raises ValueError."""
        try:
            return None if self.smtp_url is None else MailServer.parse(self.smtp_url, self.smtp_ca)
        except ValueError as error:
            raise ValueError(f"PORTAL_SMTP_URL: {error}") from None


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
    hold_token_keys: tuple[Secret, ...] = ()  # reservation's and billing's: buyers' tokens are made with them, too
    mail_from: str | None = None
    public_url: str | None = None  # where buyers find the front: for links

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.smtp_url is not None:
            if self.mail_from is None or not is_address(self.mail_from):
                raise ValueError("PORTAL_MAIL_FROM must be a mail address, since PORTAL_SMTP_URL is set")
            if self.public_url is None or not self.public_url.startswith(("http://", "https://")):
                raise ValueError("PORTAL_PUBLIC_URL must begin with http:// or https://, since PORTAL_SMTP_URL is set")
        files = self.feed_tls_cert, self.feed_tls_key, self.feed_tls_ca
        check_tls("PORTAL", files, {"RESERVATION_FEED_TLS_ALLOWED": self.reservation_feed_tls_allowed})
        check_amqp("PORTAL", self.amqp_url, self.feed_tls_cert, self.amqp_tls_allowed)
