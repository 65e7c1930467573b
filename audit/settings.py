"""Where the stores are: AUDIT_*, or the auditor's credentials of compose, or those of the embedded stack."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from stack import settings as stack_settings
from stack.errors import StackError
from stack.stack import Stack
from ticketflow.runtime.address import Address, parse_addresses
from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.settings import Secret, load

CREDENTIALS = Path("/run/credentials")
FILES = {
    "AUDIT_RESERVATION_DSN": "reservation-dsn",
    "AUDIT_PORTAL_DSN": "portal-dsn",
    "AUDIT_BILLING_PASSWORD": "mariadb-audit-password",
}


class AuditSettings(msgspec.Struct, frozen=True, kw_only=True):
    """An account that may only read is enough to show; to resolve takes one that may write."""

    reservation_dsn: Secret
    portal_dsn: Secret
    billing_hosts: tuple[Address, ...] = parse_addresses("proxysql1:6033,proxysql2:6033")
    billing_name: str = "billing"
    billing_user: str = "audit"
    billing_password: Secret


def read(environ: Mapping[str, str] = os.environ, credentials: Path = CREDENTIALS) -> AuditSettings:
    """Raises SettingsError."""
    given = {
        f"{name}_FILE": str(credentials / file)
        for name, file in FILES.items()
        if name not in environ and (credentials / file).exists()
    } | dict(environ)
    if any(name.startswith("AUDIT_") for name in given):
        return load(AuditSettings, "AUDIT", given)
    return _of_embedded_stack(environ)


def _of_embedded_stack(environ: Mapping[str, str]) -> AuditSettings:
    try:
        stack = Stack(stack_settings.load(environ))
    except StackError as error:
        raise SettingsError([str(error)]) from error
    if not stack.secrets.path("billing-database").exists():
        raise SettingsError(["no stack was ever started here (`make run` does), and no AUDIT_RESERVATION_DSN is set"])
    return AuditSettings(
        reservation_dsn=Secret(stack.postgres_dsn("reservation")),
        portal_dsn=Secret(stack.postgres_dsn("portal")),
        billing_hosts=(Address("127.0.0.1", stack.ports.mariadb),),
        billing_user="billing",
        billing_password=Secret(stack.secrets.get("billing-database")),
    )
