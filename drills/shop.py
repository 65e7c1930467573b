"""The shop as the drill's buyers see it: HTTP through the front, repeated with the manners of ``manners.py``.

Each wish becomes one Op of the history, with all its attempts. aiohttp repeats nothing by itself here.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from drills.clock import Clock
from drills.history import Action, Op
from drills.manners import Meaning, meaning, outcome, pause_s

REQUEST_S = 3.0  # longer than any answer of a healthy stack takes; nginx has asked the second replica by then
PAY_REQUEST_S = 8.0  # a repeated payment is answered when the first has been decided, or after 6 s with 202
PATIENCE_S = 40.0  # longer than the longest failover (25 s): a buyer who really wants the ticket
DIGEST_CHARS = 16


@dataclass(frozen=True)
class Answer:
    """The last answer of a request. ``status`` 0: none came. ``meaning`` says what that decides."""

    status: int
    code: str
    content: bytes
    meaning: Meaning
    attempts: int
    any_unknown: bool

    @property
    def ok(self) -> bool:
        return self.meaning is Meaning.DONE

    def json(self) -> Any:
        return msgspec.json.decode(self.content)


@dataclass(frozen=True)
class _Attempt:
    status: int
    code: str
    content: bytes = b""
    retry_after: str | None = None
    sent: bool = True

    @property
    def meaning(self) -> Meaning:
        return meaning(self.status, self.code) if self.sent else Meaning.NOT_DONE


class Shop:
    """``record`` gets each Op when it is over."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        clock: Clock,
        record: Callable[[Op], None],
        *,
        patience_s: float = PATIENCE_S,
        request_s: float = REQUEST_S,
    ) -> None:
        self._session = session
        self._clock = clock
        self._record = record
        self.patience_s = patience_s
        self._request_s = request_s
        self.attempts = 0
        self.unanswered = 0  # attempts that ended without any answer

    @property
    def now(self) -> float:
        return self._clock.now()

    async def insist(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        request_s: float | None = None,
        patience_s: float | None = None,
    ) -> Answer:
        """One request until it is decided or patience is over. Records nothing."""
        content = None if body is None else msgspec.json.encode(body)
        sent = dict(headers or {}) | ({"Content-Type": "application/json"} if content is not None else {})
        deadline = self.now + (self.patience_s if patience_s is None else patience_s)
        attempts, any_unknown = 0, False
        while True:
            attempts += 1
            attempt = await self._attempt(method, path, content, sent, request_s or self._request_s)
            any_unknown = any_unknown or attempt.meaning is Meaning.UNKNOWN
            answer = Answer(attempt.status, attempt.code, attempt.content, attempt.meaning, attempts, any_unknown)
            pause = pause_s(attempt.retry_after)
            if attempt.meaning in (Meaning.DONE, Meaning.REFUSED) or self.now + pause >= deadline:
                return answer
            await asyncio.sleep(pause)

    async def wish(
        self,
        buyer: str,
        action: Action,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        key: str = "",
        order_id: str = "",
        seats: tuple[str, ...] = (),
        request_s: float | None = None,
        tell: Callable[[Any], Mapping[str, Any]] = lambda _: {},
    ) -> Answer:
        """Insists, and records the Op; ``tell`` finds its other fields in the body of a success."""
        began_s = self.now
        sent = dict(headers or {}) | ({"Idempotency-Key": key} if key else {})
        try:
            answer = await self.insist(method, path, body, headers=sent, request_s=request_s)
        except asyncio.CancelledError:
            answer = Answer(0, "sent_away", b"", Meaning.UNKNOWN, 1, any_unknown=True)
            self.write(buyer, action, began_s, answer, key=key, order_id=order_id, seats=seats)
            raise
        self.write(buyer, action, began_s, answer, key=key, order_id=order_id, seats=seats, tell=tell)
        return answer

    def write(
        self,
        buyer: str,
        action: Action,
        began_s: float,
        answer: Answer,
        *,
        attempts: int = 0,
        key: str = "",
        order_id: str = "",
        seats: tuple[str, ...] = (),
        tell: Callable[[Any], Mapping[str, Any]] = lambda _: {},
    ) -> None:
        """Records an Op that ends with ``answer``, now. ``attempts``: where it took more than that answer's own."""
        told: dict[str, Any] = {"order_id": order_id, "seats": seats}
        if answer.ok:
            told |= tell(answer.json())
        decides = answer.meaning in (Meaning.DONE, Meaning.REFUSED) and answer.status != 202
        self._record(
            Op(
                buyer=buyer,
                action=action,
                began_s=began_s,
                ended_s=self.now,
                outcome=outcome(answer.meaning, answer.any_unknown),
                key=key,
                status=answer.status,
                code=answer.code,
                attempts=attempts or answer.attempts,
                body_digest=hashlib.sha256(answer.content).hexdigest()[:DIGEST_CHARS] if decides else "",
                **told,
            )
        )

    async def _attempt(
        self, method: str, path: str, content: bytes | None, headers: Mapping[str, str], request_s: float
    ) -> _Attempt:
        self.attempts += 1
        try:
            async with (
                asyncio.timeout(request_s),
                self._session.request(method, path, data=content, headers=headers) as response,
            ):
                body = await response.read()
                code = "" if response.status < 400 else _code(body)
                return _Attempt(response.status, code, body, response.headers.get("Retry-After"))
        except aiohttp.ClientConnectorError:
            self.unanswered += 1
            return _Attempt(0, "not_connected", sent=False)
        except TimeoutError:
            self.unanswered += 1
            return _Attempt(0, "timed_out")
        except (aiohttp.ClientError, OSError):
            self.unanswered += 1
            return _Attempt(0, "connection_lost")


@asynccontextmanager
async def open_shop(
    base_url: str,
    clock: Clock,
    record: Callable[[Op], None],
    *,
    patience_s: float = PATIENCE_S,
    request_s: float = REQUEST_S,
) -> AsyncIterator[Shop]:
    # limit=0: every buyer may be under way at once. The front keeps a quiet connection for 30 s: ours let go before it
    # does, for a request that crosses its goodbye on the wire is one whose outcome nobody knows.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=10)
    timeout = aiohttp.ClientTimeout(total=None)  # each attempt has its own
    async with aiohttp.ClientSession(base_url, connector=connector, timeout=timeout) as session:
        # aiohttp repeats requests without side effects, once, when a kept connection turns out to be closed.
        session._retry_connection = False
        yield Shop(session, clock, record, patience_s=patience_s, request_s=request_s)


def _code(body: bytes) -> str:
    """Of a problem; "" when it is none."""
    try:
        problem = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return ""
    return str(problem.get("code", "")) if isinstance(problem, dict) else ""
