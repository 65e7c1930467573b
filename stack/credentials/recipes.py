"""How one credential is made, and what may be wrong with one that is there.

``sources`` name other credentials (TIER/FILE), whose texts ``make`` and ``fault`` are given in that order.
"""

import secrets
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar, Protocol

from stack.credentials import authority

PASSWORD_CHARACTERS = 32  # 190 bits
# Letters and digits need no quoting in a URL, SQL, a shell, or a configuration file, and never look like an option.
ALPHABET = string.ascii_letters + string.digits
RENEWED_BEFORE_END = timedelta(days=30)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a credential. Only what ``make`` can replace without harm is ``renewable``."""

    reason: str
    renewable: bool = False


class Recipe(Protocol):
    @property
    def sources(self) -> tuple[str, ...]: ...

    def make(self, sources: Sequence[str], now: datetime) -> str: ...

    def fault(self, text: str, sources: Sequence[str], now: datetime) -> Fault | None: ...


@dataclass(frozen=True)
class Password:
    sources: ClassVar[tuple[str, ...]] = ()

    def make(self, _sources: Sequence[str], _now: datetime) -> str:
        return "".join(secrets.choice(ALPHABET) for _ in range(PASSWORD_CHARACTERS))

    def fault(self, text: str, _sources: Sequence[str], _now: datetime) -> Fault | None:
        return None if text else Fault("empty")


@dataclass(frozen=True)
class PrivateKey:
    sources: ClassVar[tuple[str, ...]] = ()

    def make(self, _sources: Sequence[str], _now: datetime) -> str:
        return authority.private_key()

    def fault(self, text: str, _sources: Sequence[str], _now: datetime) -> Fault | None:
        return None if text else Fault("empty")


@dataclass(frozen=True)
class Derived:
    """``form`` with each `{}` replaced by a source."""

    form: str
    sources: tuple[str, ...]

    def make(self, sources: Sequence[str], _now: datetime) -> str:
        return self.form.format(*sources)

    def fault(self, text: str, sources: Sequence[str], now: datetime) -> Fault | None:
        if text == self.make(sources, now):
            return None
        return Fault(f"not what {' and '.join(self.sources)} would make")


@dataclass(frozen=True)
class Root:
    """The CA's own certificate. It is not renewed: all who trust it would have to learn of it first.

    Others may stand behind it: CAs that are trusted and issue nothing.
    """

    key: str

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.key,)

    def make(self, sources: Sequence[str], now: datetime) -> str:
        return authority.root_certificate(sources[0], now)

    def fault(self, text: str, sources: Sequence[str], now: datetime) -> Fault | None:
        if not authority.is_of_key(text, sources[0]):
            return Fault(f"not of {self.key}")
        ends = authority.ends_at(text)
        return Fault(f"the CA ends on {ends:%Y-%m-%d}: make another in time") if _is_near(ends, now) else None


@dataclass(frozen=True)
class CaCopy:
    """Whom a tier trusts. It follows ``home`` while both have a CA in common: when one takes over from another."""

    home: str

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.home,)

    def make(self, sources: Sequence[str], _now: datetime) -> str:
        return sources[0]

    def fault(self, text: str, sources: Sequence[str], _now: datetime) -> Fault | None:
        if text == sources[0]:
            return None
        in_common = set(authority.bundle(text)) & set(authority.bundle(sources[0]))
        return Fault(f"not the same as {self.home}", renewable=bool(in_common))


@dataclass(frozen=True)
class Certificate:
    """Of ``key``, for these host names; ``role`` is who it is to an allow-list, whichever its host."""

    key: str
    role: str
    dns: tuple[str, ...]
    ca: str = "ca/ca"

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.key, f"{self.ca}.key", f"{self.ca}.crt")

    @property
    def uri(self) -> str:
        return f"spiffe://ticketflow/{self.role}"

    def make(self, sources: Sequence[str], now: datetime) -> str:
        key, ca_key, ca = sources
        return authority.leaf_certificate(key, ca_key, ca, self.role, self.dns, self.uri, now)

    def fault(self, text: str, sources: Sequence[str], now: datetime) -> Fault | None:
        key, _ca_key, ca = sources
        issuer, *others = authority.bundle(ca)
        if not authority.is_of_key(text, key) or not any(
            authority.is_issued_by(text, each) for each in (issuer, *others)
        ):
            return Fault("not issued by our CA for its key")
        if not authority.is_issued_by(text, issuer):
            return Fault("another CA takes over", renewable=True)
        if authority.names(text) != ([*self.dns], [self.uri]):
            return Fault("its names have changed", renewable=True)
        ends = authority.ends_at(text)
        return Fault(f"it ends on {ends:%Y-%m-%d}", renewable=True) if _is_near(ends, now) else None


def _is_near(end: datetime, now: datetime) -> bool:
    return end - now < RENEWED_BEFORE_END
