"""The provider port over the sandbox's HTTP API."""

from typing import Any

import aiohttp
import msgspec

from billing.provider import (
    Authorization,
    Declined,
    ProviderIndefinite,
    ProviderUnavailable,
    Refused,
)

TIMEOUT_S = 5.0  # of one call, from the wait for a connection to the last byte
CONNECT_TIMEOUT_S = 2.0
CONNECTIONS_MAX = 32
KEEPALIVE_S = 15.0  # well below the 75 s of servers: a connection closed under a request makes its outcome indefinite

# Raised before a byte of the request is sent. ConnectionTimeoutError covers the wait for a free connection as well.
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)


class _Authorization(msgspec.Struct):
    authorization_id: str
    state: str
    amount_minor: int
    captured_minor: int
    refunded_minor: int
    reason: str | None = None


class _List(msgspec.Struct):
    items: list[_Authorization]


class _Error(msgspec.Struct):
    code: str = "unknown"


class SandboxProvider:
    """Between ``open`` and ``close`` it keeps connections open from one call to the next."""

    def __init__(self, url: str, key: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_TIMEOUT_S)
        self._http: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Connects to nothing yet."""
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=KEEPALIVE_S),
            timeout=self._timeout,
            headers={"Authorization": f"Bearer {self._key}"},
        )

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    async def authorize(self, *, reference: str, amount_minor: int, currency: str, card_token: str) -> Authorization:
        wanted = {
            "reference": reference,
            "amount_minor": amount_minor,
            "currency": currency,
            "card_token": card_token,
        }
        status, body = await self._call("POST", "/v1/authorizations", key=reference, json=wanted)
        if status == 402:
            raise Declined(_decode(body, _Authorization).reason or "declined")
        return _authorization(_decode(_accepted(status, body), _Authorization))

    async def capture(self, authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        return await self._act(authorization_id, "capture", key, {"amount_minor": amount_minor})

    async def void(self, authorization_id: str, *, key: str) -> Authorization:
        return await self._act(authorization_id, "void", key, {})

    async def refund(self, authorization_id: str, amount_minor: int, *, key: str) -> Authorization:
        return await self._act(authorization_id, "refund", key, {"amount_minor": amount_minor})

    async def fetch(self, reference: str) -> Authorization | None:
        try:
            status, body = await self._call("GET", "/v1/authorizations", params={"reference": reference})
            found = _decode(_accepted(status, body), _List).items
        except (ProviderIndefinite, Refused) as error:  # reading has no effect, so its failure is always definite
            raise ProviderUnavailable(str(error)) from error
        # A declined try and a successful one may stand under one reference: the one with money in it counts.
        found.sort(key=lambda item: item.state == "declined")
        return _authorization(found[0]) if found else None

    async def _act(self, authorization_id: str, action: str, key: str, wanted: dict[str, Any]) -> Authorization:
        path = f"/v1/authorizations/{authorization_id}/{action}"
        status, body = await self._call("POST", path, key=key, json=wanted)
        return _authorization(_decode(_accepted(status, body), _Authorization))

    async def _call(self, method: str, path: str, *, key: str | None = None, **options: Any) -> tuple[int, bytes]:
        assert self._http is not None, "used before open()"
        headers = {"Idempotency-Key": key} if key is not None else {}
        try:
            async with self._http.request(method, self._url + path, headers=headers, **options) as response:
                return response.status, await response.read()
        except _NOT_SENT as error:
            raise ProviderUnavailable(f"cannot reach the provider: {error}") from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise ProviderIndefinite(f"{method} {path}: {error or 'no answer in time'}") from error


def _accepted(status: int, body: bytes) -> bytes:
    """``body`` of a success; raises what any other answer means."""
    if 200 <= status < 300:
        return body
    if status in (404, 409, 422):
        raise Refused(_decode(body, _Error).code)
    if 400 <= status < 500:  # a wrong key of ours, or too many requests: nothing was done, and no card is to blame
        raise ProviderUnavailable(f"the provider answers {status} {_decode(body, _Error).code}")
    raise ProviderIndefinite(f"the provider answers {status}")  # 5xx says nothing about what was done before it


def _decode(body: bytes, shape: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ProviderIndefinite(f"the provider's answer has another shape: {error}") from error


def _authorization(found: _Authorization) -> Authorization:
    return Authorization(
        authorization_id=found.authorization_id,
        state=found.state,  # type: ignore[arg-type]
        amount_minor=found.amount_minor,
        captured_minor=found.captured_minor,
        refunded_minor=found.refunded_minor,
        reason=found.reason,
    )
