"""Where tests and drills say how webhooks are to be sent."""

from collections.abc import Callable

from sandbox.desk import Desk
from sandbox.notices import Notices
from sandbox.shapes import WebhookCounts
from sandbox.webhooks import Manners, WebhookSender
from ticketflow.runtime.http import Reply, Request, Route


class WebhookApi:
    def __init__(self, desk: Desk, notices: Notices, sender: WebhookSender, wake: Callable[[], None]) -> None:
        self._desk = desk
        self._notices = notices
        self._sender = sender
        self._wake = wake

    def routes(self) -> list[Route]:
        """All need the bearer key."""
        return [
            Route(
                method="GET",
                path="/v1/webhooks",
                handler=self.counts,
                summary="How many wait, were received, were given up",
                response=WebhookCounts,
                admin=True,
            ),
            Route(
                method="PUT",
                path="/v1/webhooks/manners",
                handler=self.behave,
                summary="Late, repeated, in another order",
                body=Manners,
                response=Manners,
                admin=True,
            ),
            Route(
                method="POST",
                path="/v1/webhooks/again",
                handler=self.again,
                summary="Send all that are remembered once more",
                response=WebhookCounts,
                admin=True,
            ),
        ]

    async def counts(self, _request: Request) -> Reply:
        return Reply(200, await self._desk.blocking(self._notices.counts))

    async def behave(self, request: Request) -> Reply:
        self._sender.manners = request.body
        self._wake()
        return Reply(200, request.body)

    async def again(self, request: Request) -> Reply:
        await self._desk.blocking(self._notices.again)
        self._wake()
        return await self.counts(request)
