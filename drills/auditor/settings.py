"""Where the auditor looks: AUDITOR_*. The defaults are those of compose, whose credentials are files of one folder."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from ticketflow.runtime.address import Address, parse_addresses
from ticketflow.runtime.settings import Secret, load

CREDENTIALS = Path("/run/credentials")


class AuditorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``..._urls``: name=url, the name being the service's. Empty: there is no such tier."""

    reservation_dsn: Secret
    portal_dsn: Secret
    billing_user: str = "audit"
    billing_password: Secret
    billing_addresses: tuple[Address, ...] = parse_addresses("proxysql1:6033,proxysql2:6033")
    galera_addresses: tuple[Address, ...] = parse_addresses("mariadb1:3306,mariadb2:3306,mariadb3:3306")
    provider_url: str = "http://provider:8080"
    provider_key: Secret
    patroni_urls: tuple[str, ...] = tuple(f"postgres{n}=http://postgres{n}:8008" for n in (1, 2, 3))
    etcd_urls: tuple[str, ...] = tuple(f"etcd{n}=http://etcd{n}:2381" for n in (1, 2, 3))
    rabbitmq_urls: tuple[str, ...] = tuple(f"rabbitmq{n}=http://rabbitmq{n}:15692" for n in (1, 2, 3))
    relay_urls: tuple[str, ...] = tuple(
        f"{service}{n}=http://{service}{n}:8080"
        for service in ("reservation", "billing-listener", "portal")
        for n in (1, 2)
    )


FILES = {
    "AUDITOR_RESERVATION_DSN": "reservation-dsn",
    "AUDITOR_PORTAL_DSN": "portal-dsn",
    "AUDITOR_BILLING_PASSWORD": "mariadb-audit-password",
    "AUDITOR_PROVIDER_KEY": "provider-key",
}


def read(environ: Mapping[str, str], credentials: Path = CREDENTIALS) -> AuditorSettings:
    """Raises SettingsError."""
    defaults = {
        f"{name}_FILE": str(credentials / file)
        for name, file in FILES.items()
        if name not in environ and (credentials / file).exists()
    }
    return load(AuditorSettings, "AUDITOR", defaults | dict(environ))


def named_urls(texts: tuple[str, ...]) -> dict[str, str]:
    """By service."""
    return dict(text.split("=", 1) for text in texts)
