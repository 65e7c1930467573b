"""Settings of the sandbox, from SANDBOX_*."""

import ssl
from pathlib import Path

import msgspec

from ticketflow.currencies import EXPONENTS
from ticketflow.runtime.settings import Secret


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``state_path``: the SQLite file; it is made when it is not there. Webhooks go to ``webhook_url``/sandbox,
    /stripe and /mercadopago, signed with each of the secrets. ``mercadopago_currency``: that account's one.
    ``search_lag_s``: how far Stripe's search is behind."""

    http_host: str = "127.0.0.1"
    http_port: int
    provider_key: Secret
    state_path: Path
    webhook_url: str | None = None
    webhook_secrets: tuple[Secret, ...] = ()
    mercadopago_currency: str = "BRL"
    search_lag_s: int = 60
    instance: str = "sandbox"
    log_level: str = "info"

    def __post_init__(self) -> None:
        if self.webhook_url is not None and not self.webhook_secrets:
            raise ValueError("SANDBOX_WEBHOOK_SECRETS names no secret, and SANDBOX_WEBHOOK_URL is set")
        if self.mercadopago_currency not in EXPONENTS:
            raise ValueError("SANDBOX_MERCADOPAGO_CURRENCY is no currency of ISO 4217")


class MailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """It takes mail at ``smtp_port``, and shows it at ``http_port``/mails. With a certificate it offers STARTTLS."""

    http_host: str = "127.0.0.1"
    http_port: int
    smtp_host: str = "127.0.0.1"
    smtp_port: int
    smtp_tls_cert: Path | None = None
    smtp_tls_key: Path | None = None
    instance: str = "mail"
    log_level: str = "info"

    def tls(self) -> ssl.SSLContext | None:
        """Raises OSError when the files cannot be used."""
        if self.smtp_tls_cert is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.smtp_tls_cert, self.smtp_tls_key)
        return context
