"""Settings of billing's processes, from BILLING_*."""

from pathlib import Path
from typing import Literal

import msgspec

from billing.ledger.entries import MINOR_MAX
from ticketflow.currencies import EXPONENTS
from ticketflow.runtime.address import Address
from ticketflow.runtime.settings import Secret, host_name
from ticketflow.runtime.tls_settings import ROLE, check_tls

REFUNDS_PER_S_MAX = 1000


class DatabaseSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the migrations need, and every process. ``listeners``: where the listeners have their feeds, to be rung
    (UDP, the same port) when there is work for them; without it they look more often."""

    database_hosts: tuple[Address, ...]
    database_name: str
    database_user: str
    database_password: Secret
    instance: str = msgspec.field(default_factory=host_name)  # unique among the replicas
    log_level: str = "info"
    listeners: tuple[Address, ...] = ()


class ProviderSettings(DatabaseSettings, frozen=True, kw_only=True):
    """Who takes the money. Of ``provider_webhook_secrets`` any may have signed, so that one can be replaced."""

    provider: Literal["sandbox", "stripe", "mercadopago"] = "sandbox"
    provider_url: str
    provider_key: Secret
    provider_webhook_secrets: tuple[Secret, ...] = ()
    provider_return_url: str | None = None
    provider_notify_url: str | None = None
    provider_currency: str | None = None
    provider_payer_email: str | None = None

    def __post_init__(self) -> None:
        if self.provider == "mercadopago" and self.provider_currency not in EXPONENTS:
            raise ValueError("BILLING_PROVIDER_CURRENCY must be the currency of the Mercado Pago account (ISO 4217)")


class WebSettings(ProviderSettings, frozen=True, kw_only=True):
    """The API. ``hold_token_keys`` are shared with reservation. ``topup_max_minor``: the most that a buyer may buy of
    credits at once."""

    http_host: str = "127.0.0.1"
    http_port: int
    admin_key: Secret
    hold_token_keys: tuple[Secret, ...]
    topup_max_minor: int = 100_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.topup_max_minor <= MINOR_MAX:
            raise ValueError(f"BILLING_TOPUP_MAX_MINOR is between 1 and {MINOR_MAX}")
        if not self.hold_token_keys:
            raise ValueError("BILLING_HOLD_TOKEN_KEYS names no key")


class ListenerSettings(ProviderSettings, frozen=True, kw_only=True):
    """The feed's listener, the relay to the bridge, and the workers. All three TLS files are given, or none.
    ``refunds_per_s``: how often a listener asks the provider about refunds, at most."""

    http_host: str = "127.0.0.1"
    http_port: int
    feed_host: str = "127.0.0.1"
    feed_port: int
    bridge_feed: tuple[Address, ...]
    refunds_per_s: int = 10
    feed_tls_cert: Path | None = None
    feed_tls_key: Path | None = None
    feed_tls_ca: Path | None = None
    feed_tls_allowed: tuple[str, ...] = (ROLE + "reservation",)  # who may feed us
    bridge_feed_tls_allowed: tuple[str, ...] = (ROLE + "bridge",)  # whom we feed

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.refunds_per_s <= REFUNDS_PER_S_MAX:
            raise ValueError(f"BILLING_REFUNDS_PER_S is 1 to {REFUNDS_PER_S_MAX}")
        check_tls(
            "BILLING",
            (self.feed_tls_cert, self.feed_tls_key, self.feed_tls_ca),
            {"FEED_TLS_ALLOWED": self.feed_tls_allowed, "BRIDGE_FEED_TLS_ALLOWED": self.bridge_feed_tls_allowed},
            listens_on=self.feed_host,
        )
