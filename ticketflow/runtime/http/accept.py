"""From raw parts to a checked Request; every refusal is a Problem with its code. No web library here."""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ticketflow.events.ids import is_id
from ticketflow.runtime.http.route import Request, Route
from ticketflow.runtime.problem import Problem

# What survives any header, log line and database column: 1 to 128 visible ASCII characters.
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,128}")
_JSON_TYPES = ("application/json",)
_encoder = msgspec.json.Encoder(order="sorted")


class Acceptor:
    """Checks requests for one route; its decoders are made once."""

    def __init__(self, route: Route, admin_key: str | None) -> None:
        self.route = route
        self._admin_key = admin_key
        self._raw = route.body is bytes
        self._decoder = msgspec.json.Decoder(route.body) if route.body is not None and not self._raw else None

    def before_body(self, parameters: Mapping[str, str], headers: Mapping[str, str]) -> None:
        """What can be refused without reading the body."""
        if self.route.admin:
            self._check_admin(bearer_of(headers))
        for name, value in parameters.items():
            if name.endswith("_id") and not is_id(value):
                raise Problem(400, "bad_path_id", f"{name} in the path is not an id (a UUIDv7 in lower case)")
        if self.route.idempotency_key:
            idempotency_key_of(headers)
        if self._decoder is not None:
            _check_content(headers)

    def request(
        self,
        parameters: Mapping[str, str],
        query: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        raw_path: str,
        content: bytes,
        correlation_id: str,
    ) -> Request:
        body = self._decode(content)
        return Request(
            body=body,
            query=self._convert_query(query),
            path=parameters,
            headers=headers,
            idempotency_key=idempotency_key_of(headers) if self.route.idempotency_key else "",
            fingerprint=fingerprint(self.route.method, raw_path, body),
            correlation_id=correlation_id,
            bearer=bearer_of(headers),
        )

    def _check_admin(self, bearer: str | None) -> None:
        given, wanted = (bearer or "").encode(), (self._admin_key or "").encode()
        if not wanted or not hmac.compare_digest(given, wanted):
            raise Problem(401, "unauthorized", "this needs `Authorization: Bearer` with the admin key")

    def _decode(self, content: bytes) -> Any:
        if self._raw:
            return content
        if self._decoder is None:
            return None
        try:
            return self._decoder.decode(content)
        except msgspec.ValidationError as error:
            raise Problem(422, "bad_body", _with_path(str(error), "body")) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Problem(400, "bad_json", f"the body is not JSON: {error}") from error
        except RecursionError as error:
            raise Problem(400, "bad_json", "the body is nested too deeply") from error

    def _convert_query(self, query: Sequence[tuple[str, str]]) -> Any:
        if self.route.query is None:
            return None
        values: dict[str, str] = {}
        for name, value in query:
            if name in values:
                raise Problem(422, "bad_query", f"`{name}` is given more than once")
            values[name] = value
        try:
            return msgspec.convert(values, self.route.query, strict=False)
        except msgspec.ValidationError as error:
            raise Problem(422, "bad_query", _with_path(str(error), "query")) from error


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """The bearer token of the Authorization header, or None."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def idempotency_key_of(headers: Mapping[str, str]) -> str:
    key = headers.get("Idempotency-Key")
    if key is None:
        raise Problem(400, "idempotency_key_missing", "this needs the header Idempotency-Key, a fresh one per intent")
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Problem(400, "idempotency_key_invalid", "Idempotency-Key has 1 to 128 visible ASCII characters")
    return key


def fingerprint(method: str, raw_path: str, body: Any) -> bytes:
    """32 bytes, equal for requests that mean the same."""
    canonical = b"" if body is None else _encoder.encode(body)
    return hashlib.sha256(
        b"\n".join((method.encode(), raw_path.encode("utf-8", "surrogateescape"), canonical))
    ).digest()


def _check_content(headers: Mapping[str, str]) -> None:
    content_type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type not in _JSON_TYPES:
        raise Problem(415, "unsupported_media_type", "the body must be application/json")
    if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise Problem(415, "unsupported_media_type", "the body must not be compressed")


def _with_path(message: str, root: str) -> str:
    """msgspec's ``Expected `int`, got `str` - at `$.lines[0].quantity``` names the root $; say what that is."""
    return message.replace("`$.", f"`{root}.").replace("`$[", f"`{root}[").replace("`$`", f"the {root}")
