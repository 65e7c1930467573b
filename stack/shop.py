"""The shop as its users see it: HTTP through the front, with the manners that its answers ask for.

A POST keeps its Idempotency-Key over every repetition, so that "perhaps it happened" needs no thought: ask again.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from stack.errors import StackError

ANSWER_S = 15
PATIENCE_S = 60  # how long a request is repeated before the demo gives up
RETRY_S = 0.5  # where no Retry-After says better
TRY_AGAIN = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def code(self) -> str:
        """The problem's code, where it is one."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""

    def expect(self, what: str) -> Any:
        """The body of a success. Raises StackError with the problem's detail."""
        if not self.ok:
            detail = self.body.get("detail", "") if isinstance(self.body, dict) else self.body
            raise StackError(f"{what}: {self.status} {self.code} {detail}")
        return self.body


class Shop:
    def __init__(self, session: aiohttp.ClientSession, admin_key: str) -> None:
        self._session = session
        self._admin = {"Authorization": f"Bearer {admin_key}"}

    async def get(self, path: str, token: str | None = None, *, fresh: bool = False) -> Answer:
        """``fresh``: as it is now, past what the shop keeps in memory for a second."""
        headers = {"X-Hold-Token": token} if token else {}
        return await self._insist("GET", path, None, headers | ({"Cache-Control": "no-cache"} if fresh else {}))

    async def post(self, path: str, body: object, *, token: str | None = None, wait_for: str = "") -> Answer:
        """``wait_for``: a problem's code that only means "not yet"."""
        headers = {"Idempotency-Key": str(uuid.uuid4())} | ({"X-Hold-Token": token} if token else {})
        return await self._insist("POST", path, body, headers, wait_for)

    async def put(self, path: str, body: object, headers: dict[str, str]) -> Answer:
        return await self._insist("PUT", path, body, headers)

    async def admin(self, path: str, body: object, key: str | None = None) -> Answer:
        headers = {"Idempotency-Key": key or str(uuid.uuid4())} | self._admin
        return await self._insist("POST", path, body, headers)

    async def _insist(
        self, method: str, path: str, body: object, headers: dict[str, str], wait_for: str = ""
    ) -> Answer:
        """One request until it is answered with more than "not now". Raises StackError when patience ends."""
        said = "no answer"
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    pause_s = RETRY_S
                    try:
                        async with self._session.request(method, path, json=body, headers=headers) as response:
                            answer = Answer(response.status, await response.json(content_type=None))
                        if answer.status not in TRY_AGAIN and not (wait_for and answer.code == wait_for):
                            return answer
                        said = f"{answer.status} {answer.code}"
                        pause_s = _seconds(response.headers.get("Retry-After"))
                    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                        said = str(error) or type(error).__name__
                    await asyncio.sleep(pause_s)
        except TimeoutError:
            raise StackError(f"{method} {path}: still `{said}` after {PATIENCE_S} s; see `make status`") from None


@asynccontextmanager
async def open_shop(base_url: str, admin_key: str) -> AsyncIterator[Shop]:
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    connector = aiohttp.TCPConnector(limit=0)  # every buyer may be under way at once
    async with aiohttp.ClientSession(base_url, timeout=timeout, connector=connector) as session:
        yield Shop(session, admin_key)


def _seconds(retry_after: str | None) -> float:
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else RETRY_S
