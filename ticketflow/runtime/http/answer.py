"""What an error is answered with: every one becomes a Problem, and a Problem becomes bytes. No web library here."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.problem import Problem, ProblemBody

PROBLEM_TYPE = "application/problem+json"
JSON_TYPE = "application/json"
RETRY_AFTER_S = 1  # a store that has failed over is back within seconds; the pools notice within one

log = get_logger("http")


def problem_for(error: Exception) -> Problem:
    """The problem that answers ``error``. What was not foreseen is logged here, once, with its traceback."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Unavailable):
        log.info("store_unavailable", error=str(error))
        detail = "the store cannot do this now, and nothing was done; try again"
        return Problem(503, "store_unavailable", detail, retry_after_s=RETRY_AFTER_S)
    if isinstance(error, Indefinite):
        log.warning("outcome_unknown", error=str(error))
        detail = "this may or may not have been done; repeat it with the same Idempotency-Key"
        return Problem(503, "outcome_unknown", detail, retry_after_s=RETRY_AFTER_S)
    if isinstance(error, TimeoutError):
        log.warning("request_timed_out")
        detail = "this took too long, and may or may not have been done; repeat it with the same Idempotency-Key"
        return Problem(503, "timed_out", detail, retry_after_s=RETRY_AFTER_S)
    log.error("request_failed", exc_info=error)
    return Problem(500, "internal", "something went wrong here; the correlation id finds it in the logs")


def problem_bytes(
    status: int, code: str, detail: str, correlation_id: str, extra: Mapping[str, Any] | None = None
) -> bytes:
    """The body of a problem (RFC 9457); ``extra`` cannot replace the members that every problem has."""
    body = ProblemBody(
        title=code.replace("_", " "), status=status, code=code, detail=detail, correlation_id=correlation_id
    )
    return msgspec.json.encode({**extra, **msgspec.to_builtins(body)} if extra else body)
