"""Where providers send their webhooks: checked, stored as they came, answered. Applying them is a worker's.

Laws:
- Nothing unsigned is stored. What is signed is on disk before the provider is answered with 200, so that it may forget.
- Whatever else goes wrong is no 2xx: the provider sends it again.
- What is signed and not understood is kept too, and answered with 200: sending it again would change nothing.
"""

import hashlib
import time
from collections.abc import Callable, Mapping

import msgspec

from billing.orders.changes import repeated
from billing.providers.port import BadSignature, NotUnderstood, Provider, WebhookEvent
from billing.providers.signatures import header
from billing.store import webhooks
from billing.store.webhooks import Received
from ticketflow.events import new_id
from ticketflow.runtime import metrics
from ticketflow.runtime.http import Problem, Reply, Request, Route
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.mariadb import MariaDBPool

BODY_BYTES_MAX = 256 * 1024  # the largest real ones have some 20 KB; the column would take more
HEADERS_KEPT = (
    "content-type",
    "date",
    "stripe-signature",
    "user-agent",
    "x-request-id",
    "x-sandbox-signature",
    "x-signature",
)
HEADER_CHARS_MAX = 1024
EVENT_ID_CHARS_MAX, KIND_CHARS_MAX, ID_CHARS_MAX = 191, 64, 128  # as the columns

TOTAL = metrics.counter(
    "billing_webhooks_total", "Webhooks, by what became of them: at the door, and at each try to apply.", ("outcome",)
)
REFUSED = metrics.counter(
    "billing_webhooks_refused_total",
    "Webhooks that were not believed, by what is wrong with them.",
    ("code",),
)

log = get_logger("webhooks")


class WebhookReply(msgspec.Struct, kw_only=True):
    """``webhook_id``: ours; of a repetition none, as nothing new was stored."""

    webhook_id: str | None
    state: str


class WebhookApi:
    """``stored`` is called when one is there that a worker has to look at. It must not raise and must not wait."""

    def __init__(
        self,
        pool: MariaDBPool,
        provider: Provider,
        *,
        stored: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._pool = pool
        self._stored = stored
        self._provider = provider
        self._clock = clock

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/api/v1/webhooks/{provider}",
                handler=self.receive,
                summary="A payment provider tells that something is new (signed by it)",
                body=bytes,
                body_bytes_max=BODY_BYTES_MAX,
                response=WebhookReply,
                problems=("provider_unknown", "webhook_signature"),
                tags=("providers",),
            )
        ]

    async def receive(self, request: Request) -> Reply:
        if request.path["provider"] != self._provider.name:
            raise Problem(404, "provider_unknown", "no such provider is set up here")
        one = self._checked(request)

        async def store() -> webhooks.State | None:
            async with self._pool.acquire(plain=True) as conn:
                return await webhooks.store(conn, one)

        stored = await repeated(store)
        if stored != "APPLIED":
            self._stored()
        outcome = "repeated" if stored is None else "ignored" if one.ignored else "received"
        TOTAL.labels(outcome).inc()
        if stored == "APPLIED":
            TOTAL.labels("applied").inc()
        log.info(
            "webhook_taken",
            outcome=outcome,
            webhook_id=one.webhook_id,
            kind=one.kind,
            reference=one.reference,
        )
        return Reply(200, WebhookReply(webhook_id=one.webhook_id if stored else None, state=outcome))

    def _checked(self, request: Request) -> Received:
        """Raises Problem for what the provider has not signed."""
        body: bytes = request.body
        event: WebhookEvent | None = None
        try:
            event = self._provider.verify(request.headers, body, int(self._clock()))
        except NotUnderstood as error:
            log.info("webhook_not_understood", error=str(error)[:HEADER_CHARS_MAX])
        except BadSignature as error:
            REFUSED.labels(str(error)).inc()
            log.warning("webhook_refused", error=str(error))
            raise Problem(400, "webhook_signature", f"the provider's signature is not good: {error}") from error
        return received(self._provider.name, event, request.headers, body)


def received(provider: str, event: WebhookEvent | None, headers: Mapping[str, str], body: bytes) -> Received:
    """What is stored. An id that the columns have no room for is none of ours, and none that we could ask for."""
    digest = hashlib.sha256(body).hexdigest()
    reference = _short(event.reference) if event else None
    authorization_id = _short(event.authorization_id) if event else None
    event_id = _text(event.provider_event_id) if event else digest
    return Received(
        webhook_id=new_id(),
        provider=provider,
        provider_event_id=event_id if len(event_id) <= EVENT_ID_CHARS_MAX else _digest_of(event_id),
        kind=_text(event.kind)[:KIND_CHARS_MAX] if event else "",
        reference=reference,
        authorization_id=authorization_id,
        headers=kept(headers),
        body=body,
        ignored=reference is None and authorization_id is None,
    )


def kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Those that say who sent it and when; no credentials."""
    found = {name: header(headers, name) for name in HEADERS_KEPT}
    return {name: _text(value)[:HEADER_CHARS_MAX] for name, value in found.items() if value is not None}


def _short(text: str | None) -> str | None:
    return None if text is None or len(text) > ID_CHARS_MAX else _text(text)


def _text(text: str) -> str:
    """Bytes that are no UTF-8 reach us as halves of characters, which no store takes."""
    return text.encode("utf-8", "replace").decode()


def _digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
