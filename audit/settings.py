"""Where the stores are: AUDIT_*, or the auditor's credentials of compose, or those of the embedded stack."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from audit.money.limits import Limits
from stack import settings as stack_settings
from stack.errors import StackError
from stack.stack import Stack
from ticketflow.runtime.address import Address, parse_addresses
from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.settings import Secret, host_name, load

CREDENTIALS = Path("/run/credentials")
STORES = ("AUDIT_RESERVATION_", "AUDIT_PORTAL_", "AUDIT_BILLING_")  # who sets one of these, sets all
FILES = {
    "AUDIT_RESERVATION_DSN": "reservation-dsn",
    "AUDIT_PORTAL_DSN": "portal-dsn",
    "AUDIT_BILLING_PASSWORD": "mariadb-audit-password",
    "AUDIT_PROVIDER_KEY": "provider-key",
}


class AuditSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An account that may only read is enough to show; to resolve or repair takes one that may write. Without
    ``provider_url`` and ``provider_key`` the provider is not asked. The limits are those of money/limits.py."""

    reservation_dsn: Secret
    portal_dsn: Secret
    billing_hosts: tuple[Address, ...] = parse_addresses("proxysql1:6033,proxysql2:6033")
    billing_name: str = "billing"
    billing_user: str = "audit"
    billing_password: Secret
    provider: Literal["sandbox", "stripe", "mercadopago"] = "sandbox"
    provider_url: str | None = None
    provider_key: Secret | None = None
    provider_currency: str | None = None
    provider_rate: float = Limits.provider_rate
    grace_s: float = Limits.grace_s
    confirm_s: float = Limits.confirm_s
    stuck_s: float = Limits.stuck_s
    recent_s: float = Limits.recent_s

    @property
    def limits(self) -> Limits:
        return Limits(self.grace_s, self.confirm_s, self.stuck_s, self.recent_s, self.provider_rate)


class WatchSettings(AuditSettings, frozen=True, kw_only=True):
    """``every_s``: between the rounds; ``page_pause_s``: between the pages of one at least, so that stores have time
    for buyers. ``ledger_every_s``: how often the ledger is checked as a whole, which reads all of it."""

    http_host: str = "127.0.0.1"
    http_port: int
    instance: str = msgspec.field(default_factory=host_name)
    log_level: str = "info"
    every_s: float = 60.0
    page_pause_s: float = 0.1
    ledger_every_s: float = 3600.0


def read_watch(environ: Mapping[str, str] = os.environ, credentials: Path = CREDENTIALS) -> WatchSettings:
    """Raises SettingsError."""
    return load(WatchSettings, "AUDIT", _given(environ, credentials))


def read(environ: Mapping[str, str] = os.environ, credentials: Path = CREDENTIALS) -> AuditSettings:
    """Raises SettingsError."""
    given = _given(environ, credentials)
    if not any(name.startswith(STORES) for name in given):
        given = _of_embedded_stack(environ) | given
    return load(AuditSettings, "AUDIT", given)


def _given(environ: Mapping[str, str], credentials: Path) -> dict[str, str]:
    """With the credentials that compose gives."""
    return {
        f"{name}_FILE": str(credentials / file)
        for name, file in FILES.items()
        if name not in environ and (credentials / file).exists()
    } | dict(environ)


def _of_embedded_stack(environ: Mapping[str, str]) -> dict[str, str]:
    try:
        stack = Stack(stack_settings.load(environ))
    except StackError as error:
        raise SettingsError([str(error)]) from error
    if not stack.secrets.path("billing-database").exists():
        raise SettingsError(["no stack was ever started here (`make run` does), and no AUDIT_RESERVATION_DSN is set"])
    return {
        "AUDIT_RESERVATION_DSN": stack.postgres_dsn("reservation"),
        "AUDIT_PORTAL_DSN": stack.postgres_dsn("portal"),
        "AUDIT_BILLING_HOSTS": f"127.0.0.1:{stack.ports.mariadb}",
        "AUDIT_BILLING_USER": "billing",
        "AUDIT_BILLING_PASSWORD": stack.secrets.get("billing-database"),
        "AUDIT_PROVIDER_URL": f"http://127.0.0.1:{stack.ports.sandbox}",
        "AUDIT_PROVIDER_KEY": stack.secrets.get("provider-key"),
    }
