"""What the TLS settings of feeds and of the way to RabbitMQ must be, whichever service they are of."""

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path

from yarl import URL

ROLE = "spiffe://ticketflow/"  # a role as a URI of its certificates: `python -m stack credentials` writes it so


def check_tls(
    prefix: str,
    files: Sequence[Path | None],
    allowed: Mapping[str, tuple[str, ...]],
    listens_on: str | None = None,
) -> None:
    """``files``: certificate, key, CA. ``allowed``: each allow-list by the name of its setting. ``listens_on``: the
    host of the listener, if there is one. Raises ValueError."""
    given = [path is not None for path in files]
    if any(given) and not all(given):
        raise ValueError(f"set {prefix}_FEED_TLS_CERT, {prefix}_FEED_TLS_KEY and {prefix}_FEED_TLS_CA, or none of them")
    for name, names in allowed.items():
        if not names:
            raise ValueError(f"{prefix}_{name} names nobody")
    if not any(given) and listens_on is not None and not _is_loopback(listens_on):
        raise ValueError(f"{prefix}_FEED_HOST={listens_on} can be reached from elsewhere: set {prefix}_FEED_TLS_CERT")


def check_amqp(prefix: str, urls: str, certificate: Path | None, allowed: tuple[str, ...]) -> None:
    """``urls``: comma-separated. ``allowed``: what a node may be called. Raises ValueError, without the password."""
    if not allowed:
        raise ValueError(f"{prefix}_AMQP_TLS_ALLOWED names nobody")
    for text in urls.split(","):
        url = _parsed(prefix, text.strip())
        if url.scheme == "amqps" and certificate is None:
            raise ValueError(f"{prefix}_AMQP_URL says amqps: set {prefix}_FEED_TLS_CERT")
        if url.scheme == "amqp" and not _is_loopback(url.host or ""):
            raise ValueError(f"{prefix}_AMQP_URL goes to {url.host} in plain text: say amqps")


def _parsed(prefix: str, text: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        raise ValueError(f"{prefix}_AMQP_URL holds something that is no URL") from None
    if url.scheme not in ("amqp", "amqps") or not url.host:
        raise ValueError(f"{prefix}_AMQP_URL holds something that is neither amqp://HOST nor amqps://HOST")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
