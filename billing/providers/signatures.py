"""Signatures of webhooks: a time and HMAC-SHA256 digests in one header, ``t=1700000000,v1=hex,v1=hex``.

No clock here: ``now_s`` comes in. Comparisons take the same time wherever two digests differ. Several secrets are
accepted while one is being replaced, and several digests: the sender signs with each of its secrets then.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence

from billing.providers.port import BadSignature

TOLERANCE_S = 300  # what both providers recommend: beyond it a recorded request cannot be sent again
ELEMENTS_MAX = 32  # of a header: more is nobody's honest signature
DIGITS_MAX = 16
_MILLISECONDS_FROM = 10**11  # as seconds that is the year 5138


def header(headers: Mapping[str, str], name: str) -> str | None:
    """One header, whatever the case of its name."""
    wanted = name.lower()
    return next((value for found, value in headers.items() if found.lower() == wanted), None)


def elements(text: str | None, *, time: str) -> tuple[str, list[str]]:
    """(the time's digits, the ``v1`` digests) of a signature header. Raises BadSignature."""
    if not text:
        raise BadSignature("missing")
    parts = [part.strip().partition("=") for part in text.split(",", ELEMENTS_MAX)]
    times = [value for name, _, value in parts if name == time]
    digests = [value for name, _, value in parts if name == "v1"]
    if len(parts) > ELEMENTS_MAX or len(times) != 1 or not digests:
        raise BadSignature("malformed")
    if not (times[0].isascii() and times[0].isdigit() and len(times[0]) <= DIGITS_MAX):
        raise BadSignature("malformed")
    return times[0], digests


def check(secrets: Sequence[str], signed: bytes, digests: Iterable[str]) -> None:
    """Raises BadSignature unless one of the digests is of one of the secrets."""
    if not secrets:
        raise BadSignature("no_secret")
    wanted = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode() for secret in secrets]
    given = [digest.encode("utf-8", "replace") for digest in digests]
    # Each is compared with each, also after one has fitted.
    if not sum(hmac.compare_digest(one, other) for one in given for other in wanted):
        raise BadSignature("wrong")


def check_time(digits: str, now_s: int) -> None:
    """``digits``: seconds, or milliseconds, since 1970. Raises BadSignature when they are too far from now."""
    signed_s = int(digits) // 1000 if int(digits) >= _MILLISECONDS_FROM else int(digits)
    if signed_s < now_s - TOLERANCE_S:
        raise BadSignature("too_old")
    if signed_s > now_s + TOLERANCE_S:
        raise BadSignature("from_the_future")


def check_timestamped(secrets: Sequence[str], text: str | None, body: bytes, now_s: int) -> None:
    """The scheme ``t=...,v1=HMAC of "t.body"``. Raises BadSignature."""
    digits, digests = elements(text, time="t")
    check(secrets, digits.encode() + b"." + body, digests)
    check_time(digits, now_s)
