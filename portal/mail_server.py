"""The mail server that mail is given to, as PORTAL_SMTP_URL writes it.

``smtp://HOST:PORT`` is plain text, ``smtp+starttls://`` begins TLS and does without nothing less, ``smtps://`` is TLS
from the first byte. ``USER:PASSWORD@`` stands before the host; plain text takes a password to loopback only.
"""

import ipaddress
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import aiosmtplib
from yarl import URL

Security = Literal["plain", "starttls", "tls"]
_SCHEMES: dict[str, tuple[Security, int]] = {
    "smtp": ("plain", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}
STEP_TIMEOUT_S = 10.0  # for each command's answer
ADDRESS_CHARS_MAX = 254  # RFC 5321
# What every mail server takes: no quoting, no comments, ASCII only. One line, so that nothing can be added to a header.
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")


class Refused(Exception):
    """The server will never take this mail."""


class Away(Exception):
    """The server cannot be reached, or says "later"."""


@dataclass(frozen=True)
class MailServer:
    host: str
    port: int
    security: Security
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: Path | None = None  # whose certificates are believed; None: the system's

    @classmethod
    def parse(cls, text: str, ca: Path | None = None) -> "MailServer":
        """Raises ValueError, without the password."""
        try:
            url = URL(text)
            port = url.port
        except ValueError:
            raise ValueError("it is no URL") from None
        if url.scheme not in _SCHEMES or not url.host:
            raise ValueError(f"it must begin with one of {', '.join(f'{scheme}://' for scheme in _SCHEMES)} and a host")
        security, usual = _SCHEMES[url.scheme]
        if url.password and security == "plain" and not _is_loopback(url.host):
            raise ValueError(f"it sends a password to {url.host} in plain text: say smtp+starttls or smtps")
        return cls(url.host, port or usual, security, url.user, url.password, ca)

    def tls(self) -> ssl.SSLContext | None:
        """Raises ValueError when the CA's file cannot be used."""
        if self.security == "plain":
            return None
        try:
            return ssl.create_default_context(cafile=self.ca)
        except OSError as error:  # ssl.SSLError is one
            raise ValueError(f"{self.ca}: {error.strerror or error}") from error


@dataclass(frozen=True)
class Letter:
    """One mail, ready to be sent. ``content``: header and body."""

    recipient: str
    content: bytes


def is_address(text: str) -> bool:
    """Whether mail can be sent to it, as far as its form goes."""
    local = text.partition("@")[0]
    return (
        len(text) <= ADDRESS_CHARS_MAX
        and _ADDRESS.fullmatch(text) is not None
        and not local.startswith(".")
        and not local.endswith(".")
        and ".." not in local
    )


class Post:
    """A session with the server: an async context. Raises Away."""

    def __init__(
        self, server: MailServer, sender: str, tls: ssl.SSLContext | None = None, timeout_s: float = STEP_TIMEOUT_S
    ) -> None:
        self._sender = sender
        self._client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=tls,
            timeout=timeout_s,
        )

    async def __aenter__(self) -> "Post":
        try:
            await self._client.connect()
        except (aiosmtplib.SMTPException, OSError) as error:
            self._client.close()
            raise Away(said(error)) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.close()  # what was sent has been answered: a QUIT would only be waited for

    async def send(self, letter: Letter) -> None:
        """Returns when the server has taken it. Raises Refused, Away."""
        try:
            await self._client.sendmail(self._sender, [letter.recipient], letter.content)
        except aiosmtplib.SMTPRecipientsRefused as error:
            if any(one.code >= 500 for one in error.recipients):
                raise Refused(_answers(error.recipients)) from error
            raise Away(_answers(error.recipients)) from error
        except aiosmtplib.SMTPDataError as error:
            if error.code >= 500:
                raise Refused(said(error)) from error
            raise Away(said(error)) from error
        except (aiosmtplib.SMTPException, OSError) as error:  # the sender refused too: a matter of settings
            raise Away(said(error)) from error


def said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _answers(refusals: Sequence[aiosmtplib.SMTPRecipientRefused]) -> str:
    return "; ".join(f"{one.code} {one.message}" for one in refusals)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
