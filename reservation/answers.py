"""From decisions to HTTP answers, the same for every endpoint."""

from collections.abc import Mapping

from reservation.refusals import Refused
from ticketflow.runtime.http import Handler, Problem, Reply, Request
from ticketflow.runtime.http.answer import PROBLEM_TYPE, problem_bytes

REPLAYED = "Idempotency-Replayed"


def reply_to(handler: Handler) -> Handler:
    """``handler``, whose refusals become problems."""

    async def answer(request: Request) -> Reply:
        try:
            return await handler(request)
        except Refused as refused:
            raise Problem(refused.status, refused.code, refused.detail, extra=refused.facts) from refused

    return answer


def replay_headers(replayed: bool) -> Mapping[str, str]:
    return {REPLAYED: "true"} if replayed else {}


def refused_reply(refused: Refused, correlation_id: str, replayed: bool) -> Reply:
    """A refusal that stands under an Idempotency-Key, as the problem it was the first time."""
    body = problem_bytes(refused.status, refused.code, refused.detail, correlation_id, refused.facts)
    return Reply(refused.status, body, {"Content-Type": PROBLEM_TYPE, **replay_headers(replayed)})
