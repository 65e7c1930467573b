"""TLS for the feed: version 1.3 only, and both sides show a certificate of the private CA.

A sender checks the receiver's name against the address it dialled; a receiver checks the sender's names
(SAN: DNS and URI) against a list, see FeedServer.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ticketflow.feed.errors import BadTls

HANDSHAKE_TIMEOUT_S = 3.0  # uvloop's own default is 60
SHUTDOWN_TIMEOUT_S = 2.0  # uvloop's own default is 30


def server_context(cert: str | Path, key: str | Path, ca: str | Path) -> ssl.SSLContext:
    """For FeedServer: asks every sender for a certificate of ``ca``. Paths of PEM files. Raises BadTls."""
    return _context(ssl.PROTOCOL_TLS_SERVER, cert, key, ca)


def client_context(cert: str | Path, key: str | Path, ca: str | Path) -> ssl.SSLContext:
    """For ``connect``: checks the receiver's name and shows our certificate. Paths of PEM files. Raises BadTls."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, cert, key, ca)


def peer_names(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The DNS and URI names of what ``SSLObject.getpeercert`` gives; none without a certificate."""
    alternatives = (certificate or {}).get("subjectAltName", ())
    return tuple(name for kind, name in alternatives if kind in ("DNS", "URI"))


def _context(protocol: int, cert: str | Path, key: str | Path, ca: str | Path) -> ssl.SSLContext:
    for path in (cert, key, ca):
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise BadTls(f"TLS file {path}: {error.strerror}") from error
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(cert, key, password="")
    except (ssl.SSLError, ValueError) as error:
        raise BadTls(f"TLS certificate {cert} with key {key}: {error}") from error
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise BadTls(f"TLS CA {ca}: {error}") from error
    return context
