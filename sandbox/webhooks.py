"""Sends webhooks: signed, retried, and on request late, twice, or in another order.

Each goes to ``<url>/<wire>``. 2xx is success; everything else is tried again, later and later, ``ATTEMPTS_MAX`` times.
"""

import random
import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal
from urllib.parse import urlencode

import aiohttp
import msgspec
import uuid_utils

from sandbox import signing
from sandbox.desk import Desk
from sandbox.notices import Notice, Notices
from ticketflow.runtime.log import get_logger

TIMEOUT_S = 5.0
BATCH = 100
BACKOFF_US = (200_000, 30_000_000)
IDLE_S = (0.2, 2.0)  # while retries may be due, and else: new ones wake the worker
RETRIES_S = BACKOFF_US[1] / 1_000_000 + 1

log = get_logger("webhooks")


class Manners(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How webhooks are sent. ``paused``: not at all, they gather; ``repeats``: how often each is sent once more;
    ``seed``: of the order ``shuffled``."""

    paused: bool = False
    repeats: Annotated[int, msgspec.Meta(ge=0, le=10)] = 0
    order: Literal["oldest", "newest", "shuffled"] = "oldest"
    seed: int = 0


class WebhookSender:
    """A worker. With several ``secrets`` it signs with each, where the wire has room for that."""

    def __init__(self, notices: Notices, desk: Desk, url: str, secrets: Sequence[str]) -> None:
        self.manners = Manners()
        self._notices = notices
        self._blocking = desk.blocking
        self._url = url.rstrip("/")
        self._secrets = tuple(secrets)
        self._http: aiohttp.ClientSession | None = None
        self._failed_at = time.monotonic()  # or begun: an earlier process may have left some

    def idle_s(self) -> float:
        """How long to wait for a wake-up."""
        return IDLE_S[time.monotonic() - self._failed_at > RETRIES_S]

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def run_once(self) -> int:
        """How many were received."""
        if self.manners.paused:
            return 0
        due = await self._blocking(partial(self._notices.due, BATCH))
        received = 0
        for notice in self._ordered(due):
            good = True
            for _ in range(1 + self.manners.repeats):
                good = await self._send(notice) and good
            if good:
                await self._blocking(partial(self._notices.sent, notice.notice_id))
                received += 1
            else:
                self._failed_at = time.monotonic()
                again = min(BACKOFF_US[0] * 2**notice.attempts, BACKOFF_US[1])
                await self._blocking(partial(self._notices.failed, notice, again))
        return received

    def _ordered(self, due: list[Notice]) -> list[Notice]:
        if self.manners.order == "newest":
            return due[::-1]
        if self.manners.order == "shuffled":
            random.Random(self.manners.seed).shuffle(due)  # noqa: S311 - an instrument of tests
        return due

    async def _send(self, notice: Notice) -> bool:
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        url, headers = self._addressed(notice)
        try:
            async with self._http.post(url, data=notice.body.encode(), headers=headers) as response:
                if 200 <= response.status < 300:
                    return True
                said = str(response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            said = str(error) or type(error).__name__
        log.info("webhook_not_received", wire=notice.wire, kind=notice.kind, attempts=notice.attempts + 1, error=said)
        return False

    def _addressed(self, notice: Notice) -> tuple[str, dict[str, str]]:
        """(URL, headers) signed now: a retry has a time of its own."""
        url, headers = f"{self._url}/{notice.wire}", {"Content-Type": "application/json"}
        body, now_ms = notice.body.encode(), time.time_ns() // 1_000_000
        match notice.wire:
            case "mercadopago":
                # The same for each repetition of one notification.
                request_id = str(uuid_utils.UUID(notice.event_id.removeprefix("evt_")))
                headers["x-request-id"] = request_id
                headers["x-signature"] = signing.mercadopago(self._secrets[0], notice.about, request_id, now_ms)
                url += "?" + urlencode({"data.id": notice.about, "type": "payment"})
            case "stripe":
                headers["Stripe-Signature"] = signing.timestamped(self._secrets, body, now_ms // 1000)
            case _:
                headers["X-Sandbox-Signature"] = signing.timestamped(self._secrets, body, now_ms // 1000)
        return url, headers
