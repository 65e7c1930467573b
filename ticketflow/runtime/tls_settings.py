"""What the TLS settings of a feed must be, whichever service they are of."""

import ipaddress
from collections.abc import Mapping, Sequence
from pathlib import Path

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


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
