"""What an answer means to a client who means to get one: the rules of repeating a request. Pure.

Laws:
- Only an answer that decides ends a request before patience does: 2xx, or 4xx but those that pass by themselves.
- A refusal that passes is definite about its own attempt: nothing was done. Everything else that decides nothing may
  have been done: a time-out, a connection that broke, any 5xx. (A 503 that promises that nothing happened is no
  exception: the front may have asked another replica before, which died after its COMMIT.)
- When patience ends, the request was refused if no attempt of it may have been done; else it is indefinite.
"""

from enum import Enum

from drills.history import Outcome

# They pass: the order is on its way, another payment is under way, the front asks to slow down.
PASSING = frozenset({"order_not_yet", "payment_in_progress", "too_many_requests"})

PAUSE_S = 0.25  # where no Retry-After says better
RETRY_AFTER_MAX_S = 1.0  # a drill measures when service is back, so nobody waits longer than that to ask again


class Meaning(Enum):
    DONE = "done"
    REFUSED = "refused"  # for good
    NOT_DONE = "not done"  # by this attempt; ask again
    UNKNOWN = "unknown"  # ask again, and remember


def meaning(status: int, code: str) -> Meaning:
    """``status`` 0: there was no answer."""
    if 200 <= status < 300:
        return Meaning.DONE
    if status == 429 or code in PASSING:
        return Meaning.NOT_DONE
    return Meaning.REFUSED if 400 <= status < 500 else Meaning.UNKNOWN


def outcome(last: Meaning, any_unknown: bool) -> Outcome:
    """Of a request that ended with ``last``; ``any_unknown``: whether one of its attempts may have been done."""
    if last is Meaning.DONE:
        return "ok"
    return "refused" if last is Meaning.REFUSED or not any_unknown else "indefinite"


def pause_s(retry_after: str | None) -> float:
    """Before the next attempt, by the header Retry-After."""
    if retry_after is not None and retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), RETRY_AFTER_MAX_S)
    return PAUSE_S
