"""Errors of the HTTP faces: problem+json (RFC 9457) with a stable ``code``."""

from collections.abc import Mapping
from typing import Any

import msgspec


class Problem(Exception):
    """Raised by a handler to answer with an error.

    ``code`` is stable and what clients decide by; ``detail`` is for the human who reads the log, and may change.
    ``extra`` adds members to the body; ``retry_after_s`` becomes the Retry-After header.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        retry_after_s: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.extra = dict(extra or {})


class ProblemBody(msgspec.Struct, kw_only=True):
    """The members that every problem has; ``type`` is ``about:blank`` since ``code`` names the kind."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    correlation_id: str
