"""An answer that is all there, and its bytes: head and body in one piece. No web library here."""

import re
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from time import time

_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # in a header: RFC 9110, 5.5
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_BODILESS = (204, 304)


class Outgoing:
    """``close``: no other request is taken on this connection."""

    __slots__ = ("body", "close", "headers", "status")

    def __init__(self, status: int, body: bytes | None, headers: dict[str, str], *, close: bool = False) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.close = close


class _Date:
    """The header Date, made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self) -> str:
        second = int(time())
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True)
        return self._text


_date = _Date()


def to_bytes(outgoing: Outgoing, *, version: tuple[int, int], head: bool, keep_alive: bool) -> bytes:
    """``head``: it answers HEAD. Raises ValueError on a header that would be taken for something else."""
    status, body = outgoing.status, outgoing.body or b""
    lines = [f"HTTP/{version[0]}.{version[1]} {status} {_REASONS.get(status, '')}", *_fields(outgoing.headers)]
    if status not in _BODILESS and (body or not head):
        lines.append(f"Content-Length: {len(body)}")
    lines.append(f"Date: {_date.text()}")
    if not keep_alive:
        lines.append("Connection: close")
    elif version == (1, 0):
        lines.append("Connection: keep-alive")
    lines.append("\r\n")
    front = "\r\n".join(lines).encode()
    return front if head or status in _BODILESS else front + body


def _fields(headers: Mapping[str, str]) -> list[str]:
    fields = [f"{name}: {value}" for name, value in headers.items()]
    for field in fields:
        if _UNSPEAKABLE.search(field):
            raise ValueError(f"a header has a control character: {field!r}")
    return fields
