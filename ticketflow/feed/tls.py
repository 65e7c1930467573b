"""TLS for the feed: version 1.3 only, and both sides show a certificate of the private CA.

Who may be at the other end is said by ``Tls``: see identity.py. What went wrong is said by tls_faults.py.
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
    context = _context(ssl.PROTOCOL_TLS_SERVER, cert, key, ca)
    context.num_tickets = 0  # a session that is resumed would not show its certificate again
    return context


def client_context(cert: str | Path, key: str | Path, ca: str | Path) -> ssl.SSLContext:
    """For ``connect``: checks the receiver's name and shows our certificate. Paths of PEM files. Raises BadTls."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, cert, key, ca)


def peer_names(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The DNS and URI names of what ``SSLObject.getpeercert`` gives; none without a certificate."""
    alternatives = (certificate or {}).get("subjectAltName", ())
    return tuple(name for kind, name in alternatives if kind in ("DNS", "URI"))


def last_words(error: BaseException) -> bytes:
    """The alert that tells the peer why our handshake failed; it has not been sent."""
    words = getattr(error, "last_words", b"")
    return words if isinstance(words, bytes) else b""


class _Object(ssl.SSLObject):
    """Neither asyncio nor uvloop sends the alert of a handshake that fails: we keep it with the error."""

    outgoing: ssl.MemoryBIO | None = None

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            if self.outgoing is not None:
                error.last_words = self.outgoing.read()  # type: ignore[attr-defined]
            raise


class _Context(ssl.SSLContext):
    sslobject_class = _Object

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *more: Any, **named: Any) -> ssl.SSLObject:
        wrapped = super().wrap_bio(incoming, outgoing, *more, **named)
        if isinstance(wrapped, _Object):
            wrapped.outgoing = outgoing
        return wrapped


def _context(protocol: int, cert: str | Path, key: str | Path, ca: str | Path) -> ssl.SSLContext:
    for path in (cert, key, ca):
        try:
            Path(path).read_bytes()
        except OSError as error:
            raise BadTls(f"TLS file {path}: {error.strerror}") from error
    context = _Context(protocol)
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
