"""HTTP requests to a payment provider, and what their failure means.

A call of the port may take several requests; ``bounded`` gives them one deadline together, so that whoever calls knows
how long it lasts at most.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from billing.providers.port import ProviderError, ProviderIndefinite, ProviderUnavailable

TIMEOUT_S = 5.0  # of one call of the port, from the wait for a connection to the last byte
CONNECT_TIMEOUT_S = 2.0
CONNECTIONS_MAX = 32
KEEPALIVE_S = 15.0  # well below the 75 s of servers: a connection closed under a request makes its outcome indefinite
ANSWER_BYTES_MAX = 4_194_304

# Raised before a byte of the request is sent. ConnectionTimeoutError covers the wait for a free connection as well.
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)

T = TypeVar("T")
P = ParamSpec("P")

_deadline: ContextVar[float | None] = ContextVar("provider_deadline", default=None)  # by the loop's clock


@dataclass(frozen=True)
class HttpAnswer:
    """``headers``: names in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


class ProviderHttp:
    """Between ``open`` and ``close`` it keeps connections open from one request to the next."""

    def __init__(self, url: str, headers: Mapping[str, str], *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url.rstrip("/")
        self._headers = dict(headers)
        self._timeout_s = timeout_s
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Connects to nothing yet."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=KEEPALIVE_S),
            headers=self._headers,
        )

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """All requests within have ``timeout_s`` together; within another, they have its deadline."""
        if _deadline.get() is not None:
            yield
            return
        token = _deadline.set(asyncio.get_running_loop().time() + self._timeout_s)
        try:
            yield
        finally:
            _deadline.reset(token)

    async def call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> HttpAnswer:
        """Whatever the provider answers. Raises ProviderUnavailable (not sent), ProviderIndefinite (no answer)."""
        assert self._http is not None, "used before open()"
        deadline = _deadline.get()
        left_s = self._timeout_s if deadline is None else deadline - asyncio.get_running_loop().time()
        if left_s <= 0:
            raise ProviderUnavailable(f"{method} {path}: not sent, no time is left")
        timeout = aiohttp.ClientTimeout(total=left_s, connect=min(CONNECT_TIMEOUT_S, left_s))
        try:
            async with self._http.request(
                method, self._url + path, headers=headers, timeout=timeout, allow_redirects=False, **options
            ) as response:
                body = await response.content.read(ANSWER_BYTES_MAX + 1)
                while len(body) <= ANSWER_BYTES_MAX and (more := await response.content.read(ANSWER_BYTES_MAX)):
                    body += more
        except _NOT_SENT as error:
            raise ProviderUnavailable(f"cannot reach the provider: {error}") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ProviderIndefinite(f"{method} {path}: {str(error) or 'no answer in time'}") from error
        if len(body) > ANSWER_BYTES_MAX:
            raise ProviderIndefinite(f"{method} {path}: the answer has more than {ANSWER_BYTES_MAX} bytes")
        return HttpAnswer(response.status, response.headers, body)


class _HasHttp(Protocol):
    @property
    def http(self) -> ProviderHttp: ...


S = TypeVar("S", bound=_HasHttp)


Method = Callable[Concatenate[S, P], Coroutine[Any, Any, T]]


def bounded(method: Method[S, P, T]) -> Method[S, P, T]:
    """A method of an adapter, whose requests have one deadline together."""

    @wraps(method)
    async def within(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.http.bounded():
            return await method(self, *args, **kwargs)

    return within


def segment(text: str) -> str:
    """One segment of a path, whatever is in it."""
    return quote(text, safe="")


def decode(body: bytes, shape: type[T]) -> T:
    """Raises ProviderIndefinite: an answer that cannot be read says nothing about what was done."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderIndefinite(f"the provider's answer has another shape: {error}") from error


def reading(error: ProviderError) -> ProviderUnavailable:
    """Reading has no effect, so its failure is always definite."""
    return ProviderUnavailable(str(error))
