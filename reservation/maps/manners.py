"""What HTTP says about an answer from memory: who wants it anew, who has it already, who takes it packed. Pure."""

import re
from collections.abc import Mapping

_MAX_AGE = re.compile(r"max-age=0+$")
_WEAK = re.compile(r'(?:W/)?("[^"]*")')


def wants_fresh(headers: Mapping[str, str]) -> bool:
    """`Cache-Control: no-cache` or `max-age=0`, as a reader sends who has just been told that a seat is gone."""
    words = [word.strip().lower() for word in headers.get("Cache-Control", "").split(",")]
    return any(word == "no-cache" or _MAX_AGE.match(word) for word in words)


def has_it(headers: Mapping[str, str], etag: str) -> bool:
    """Whether If-None-Match names ``etag``: by RFC 9110, 13.1.2, weakly compared."""
    wanted = headers.get("If-None-Match", "")
    if wanted.strip() == "*":
        return True
    return etag.removeprefix("W/") in _WEAK.findall(wanted)


def takes_gzip(headers: Mapping[str, str]) -> bool:
    """Whether Accept-Encoding names gzip (or all) and does not rule it out."""
    wishes: dict[str, bool] = {}
    for wish in headers.get("Accept-Encoding", "").lower().split(","):
        coding, _, weight = wish.partition(";")
        wishes[coding.strip()] = not re.fullmatch(r"\s*q=0(\.0*)?\s*", weight)
    return wishes.get("gzip", wishes.get("x-gzip", wishes.get("*", False)))


def told(etag: str, staleness_ms: int) -> dict[str, str]:
    """The headers of a 200 and of a 304. Whole seconds, cut off: a cache may keep it no longer than is promised."""
    return {
        "ETag": etag,
        "Cache-Control": f"public, max-age={staleness_ms // 1000}",
        "Vary": "Accept-Encoding",
    }
