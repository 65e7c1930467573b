"""What an endpoint is: route, request, reply. No web library here."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import msgspec


class Request(msgspec.Struct, frozen=True):
    """A request that has passed every check its route asks for.

    ``body`` and ``query`` are instances of the route's types (None where it has none). ``headers`` is
    case-insensitive. ``fingerprint`` is the SHA-256 of method, path and canonical body: equal for two requests that
    mean the same, whatever their spelling. ``idempotency_key`` is "" on routes that take none.
    """

    body: Any
    query: Any
    path: Mapping[str, str]
    headers: Mapping[str, str]
    idempotency_key: str
    fingerprint: bytes
    correlation_id: str
    bearer: str | None


class Reply:
    """``body``: anything msgspec encodes as JSON; bytes are sent as they are; None sends no body; an async generator of
    bytes is sent chunk by chunk as the client takes them (see streaming.py)."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int,
        body: msgspec.Struct | bytes | AsyncGenerator[bytes, None] | Any | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers or {}


Handler: TypeAlias = Callable[[Request], Awaitable[Reply]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """One endpoint. ``path``: ``/api/v1/holds/{hold_id}``; a parameter whose name ends in ``_id`` must be an id.

    ``problems`` names the codes that this handler answers with, for the OpenAPI document; those that every route has
    (timed_out, internal, ...) need not be named. ``idempotency_key``: the header Idempotency-Key is required.
    ``media``: the type of an answer that is not JSON, such as text/csv.
    ``body=bytes``: the body as it came, of any content type, for what is signed or is no JSON.
    ``body_bytes_max``: when it may be longer, or must be shorter, than the server's other ones.
    ``description``: what callers should know beyond ``summary``. ``conditional``: it has an ETag, and may answer 304.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    body: type[Any] | None = None
    query: type[Any] | None = None
    response: type[Any] | None = None
    status: int = 200
    media: str | None = None
    body_bytes_max: int | None = None
    problems: tuple[str, ...] = ()
    admin: bool = False
    idempotency_key: bool = False
    description: str = ""
    conditional: bool = False
    tags: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.method not in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            raise ValueError(f"{self.method} {self.path}: this method cannot be routed")
        if not self.path.startswith("/"):
            raise ValueError(f"{self.path}: a path begins with /")
