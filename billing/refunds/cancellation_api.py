"""The admin API of cancelled events."""

from collections.abc import Awaitable, Callable

from billing.refunds.cancellations import Cancellations
from billing.refunds.shapes import CancelBody, CancellationView
from ticketflow.runtime.http import Reply, Request, Route

REPLAYED = {"Idempotency-Replayed": "true"}

_PATH = "/api/v1/admin/events/{event_id}/cancellation"


class CancellationApi:
    def __init__(self, cancellations: Cancellations) -> None:
        self._cancellations = cancellations

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path=_PATH,
                handler=self.begin,
                summary="Refund all orders of an event; close the event first, so that nobody buys meanwhile",
                body=CancelBody,
                response=CancellationView,
                status=202,
                problems=("unauthorized", "event_unknown", "cancellation_running", "idempotency_mismatch"),
                idempotency_key=True,
                admin=True,
                tags=("refunds",),
            ),
            self._route("GET", "", self._cancellations.read, "How far the refund of an event is"),
            self._route("POST", "/pause", self._cancellations.pause, "Stop refunding for now"),
            self._route("POST", "/resume", self._cancellations.resume, "Go on refunding"),
        ]

    @staticmethod
    def _route(method: str, path: str, deed: Callable[[str], Awaitable[CancellationView]], summary: str) -> Route:
        async def handler(request: Request) -> Reply:
            return Reply(200, await deed(request.path["event_id"]))

        return Route(
            method=method,
            path=_PATH + path,
            handler=handler,
            summary=summary,
            response=CancellationView,
            problems=("unauthorized", "cancellation_unknown", *(("cancellation_done",) if path else ())),
            admin=True,
            tags=("refunds",),
        )

    async def begin(self, request: Request) -> Reply:
        answer, replayed = await self._cancellations.begin(
            request.path["event_id"], request.idempotency_key, request.fingerprint, request.body
        )
        return Reply(answer.status, answer.body, REPLAYED if replayed else {})
