"""Our certificate, key and CA, as files that somebody renews while we run.

Laws:
- A new connection uses what the files hold, at most CHECK_EVERY_S late; one that stands is not touched.
- What cannot be used (half-written, of another key, ended, of a CA that we do not trust) changes nothing: the last good
  pair stays in use, an error is logged once, `feed_tls_files_bad` is 1 until the files are good again.
- No key, and no line of a file, is ever logged.
"""

import ssl
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from ticketflow.feed import certificates
from ticketflow.feed.errors import BadTls
from ticketflow.feed.metrics import TLS_ENDS, TLS_FILES_BAD, TLS_LOADS
from ticketflow.feed.tls import client_context, server_context
from ticketflow.feed.tls_faults import shown

log = structlog.get_logger("ticketflow.feed")

CHECK_EVERY_S = 1.0  # three calls of stat

_Stamp = tuple[tuple[int, int, int] | None, ...]  # inode, size, mtime of each file; None where there is none


@dataclass(frozen=True)
class _Material:
    server: ssl.SSLContext
    client: ssl.SSLContext
    shown: certificates.Shown


class Identity:
    """Paths of PEM files; ``cert`` may hold a chain and ``ca`` several CAs. Raises BadTls when they cannot be used."""

    def __init__(
        self,
        cert: Path,
        key: Path,
        ca: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._files = (cert, key, ca)
        self._clock = clock
        self._now = now
        self._checked_at = clock()
        self._complaint: tuple[_Stamp, str] | None = None
        self._stamp = self._stat()
        self._material = self._load()
        self._took()
        if (fault := self._material.shown.fault(now())) is not None:  # there is no better one to stay with
            log.error("tls_certificate_is_bad", file=str(cert), detail=fault)

    @property
    def server(self) -> ssl.SSLContext:
        """For a connection that is accepted now."""
        self.refresh()
        return self._material.server

    @property
    def client(self) -> ssl.SSLContext:
        """For a connection that is opened now."""
        self.refresh()
        return self._material.client

    @property
    def ends_at(self) -> datetime:
        """Of the certificate in use."""
        return self._material.shown.ends_at

    def refresh(self) -> bool:
        """Look at the files, unless it was just done. True when others are in use now. Never raises."""
        if self._clock() - self._checked_at < CHECK_EVERY_S:
            return False
        self._checked_at = self._clock()
        stamp = self._stat()
        if stamp == self._stamp:
            self._settled()
            return False
        try:
            material = self._load()
            if (fault := material.shown.fault(self._now())) is not None:
                raise BadTls(f"TLS certificate {self._files[0]}: {fault}")
            if self._stat() != stamp:
                raise BadTls("the TLS files are being changed")
        except BadTls as error:
            self._complain(stamp, str(error))
            return False
        self._stamp, self._material = stamp, material
        self._took()
        return True

    async def run_once(self) -> int:
        """For a worker's loop: renewed files are taken, and wrong ones noticed, even when nobody connects."""
        return int(self.refresh())

    def _load(self) -> _Material:
        cert, key, ca = self._files
        server, client = server_context(cert, key, ca), client_context(cert, key, ca)
        try:
            return _Material(server, client, certificates.read(cert.read_bytes(), ca.read_bytes()))
        except OSError as error:
            raise BadTls(f"TLS file {error.filename}: {error.strerror}") from error

    def _took(self) -> None:
        self._settled()
        held = self._material.shown
        TLS_LOADS.labels("ok").inc()
        TLS_ENDS.labels("certificate").set(held.ends_at.timestamp())
        TLS_ENDS.labels("ca").set(held.ca_ends_at.timestamp())
        log.info(
            "tls_certificate_taken",
            file=str(self._files[0]),
            names=shown(held.names),
            ends_at=held.ends_at.isoformat(),
            ca_certificates=len(held.ca),
        )

    def _settled(self) -> None:
        """The files are what is in use."""
        TLS_FILES_BAD.set(0)
        self._complaint = None

    def _complain(self, stamp: _Stamp, text: str) -> None:
        TLS_FILES_BAD.set(1)
        if self._complaint == (stamp, text):
            return
        self._complaint = stamp, text
        TLS_LOADS.labels("failed").inc()
        log.error("tls_reload_failed", detail=text, kept_ends_at=self.ends_at.isoformat())

    def _stat(self) -> _Stamp:
        return tuple(map(_stat, self._files))


@dataclass(frozen=True)
class Tls:
    """How one end does TLS: as whom, and who may be at the other end.

    ``allowed``: the peer's certificate must have one of these names (SAN: DNS or URI); None takes any of our CA. A
    sender checks the host name besides.
    """

    identity: Identity
    allowed: frozenset[str] | None = None

    def admits(self, names: Collection[str]) -> bool:
        return self.allowed is None or not self.allowed.isdisjoint(names)


def identity_of(cert: Path | None, key: Path | None, ca: Path | None) -> Identity | None:
    """From settings: None when no file is given. Raises BadTls."""
    return None if cert is None or key is None or ca is None else Identity(cert, key, ca)


def tls_of(identity: Identity | None, allowed: Collection[str]) -> Tls | None:
    """None without an identity: then the feed is plain."""
    return None if identity is None else Tls(identity, frozenset(allowed))


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
