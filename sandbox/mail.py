"""A mail server that takes every mail and delivers none: SMTP in, HTTP to look. Faults on request."""

import asyncio
import time
from collections import deque
from typing import Annotated, Literal, cast

import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session
from msgspec import Meta

from sandbox.postbox import Postbox
from ticketflow.runtime.http import Reply, Request, Route
from ticketflow.runtime.log import get_logger

FAULTS_MAX = 1000
SLOW_S = 1.0
# later: "451 try again"; never: "550" to the recipient; drop: no answer and nothing kept; drop_after: kept, no answer;
# slow: kept, and answered after SLOW_S.
FaultKind = Literal["later", "never", "drop", "drop_after", "slow"]

log = get_logger("mail")


class FaultBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: FaultKind
    times: Annotated[int, Meta(ge=1, le=FAULTS_MAX)] = 1


class MailsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    to: str | None = None
    limit: Annotated[int, Meta(ge=1, le=500)] = 50


class MailBody(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    sender: str
    recipients: list[str]
    received_at_us: int
    headers: dict[str, str]
    text: str


class MailsBody(msgspec.Struct, frozen=True, kw_only=True):
    """``taken``: since the start, those that are no longer kept included."""

    taken: int
    mails: list[MailBody]


class MailCatcher:
    """The handler of the SMTP server, and the routes over what it caught."""

    def __init__(self, postbox: Postbox) -> None:
        self._postbox = postbox
        self._faults: deque[FaultKind] = deque()

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self._faults and self._faults[0] == "never":
            self._faults.popleft()
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        fault = self._faults.popleft() if self._faults else None
        if fault == "later":
            return "451 4.7.1 try again later"
        if fault != "drop":
            content = envelope.content if isinstance(envelope.content, bytes) else b""
            mail = self._postbox.put(envelope.mail_from or "", list(envelope.rcpt_tos), content, _now_us())
            log.info("mail_caught", number=mail.number, to=mail.recipients, subject=mail.headers.get("subject"))
        if fault == "slow":
            await asyncio.sleep(SLOW_S)
        elif fault is not None:
            cast(asyncio.Transport, server.transport).abort()
        return "250 OK"

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/mails",
                handler=self.mails,
                summary="What was caught, the newest first",
                query=MailsQuery,
                response=MailsBody,
            ),
            Route(method="DELETE", path="/mails", handler=self.empty, summary="Throws it away", status=204),
            Route(
                method="POST",
                path="/faults",
                handler=self.plan,
                summary="What goes wrong with the next mails",
                body=FaultBody,
                status=204,
            ),
            Route(
                method="DELETE", path="/faults", handler=self.calm, summary="Nothing goes wrong any more", status=204
            ),
        ]

    async def mails(self, request: Request) -> Reply:
        query: MailsQuery = request.query
        found = [
            msgspec.convert(mail, MailBody, from_attributes=True) for mail in self._postbox.find(query.to, query.limit)
        ]
        return Reply(200, MailsBody(taken=self._postbox.taken, mails=found))

    async def empty(self, _request: Request) -> Reply:
        self._postbox.empty()
        return Reply(204)

    async def plan(self, request: Request) -> Reply:
        fault: FaultBody = request.body
        self._faults.extend([fault.kind] * min(fault.times, FAULTS_MAX - len(self._faults)))
        return Reply(204)

    async def calm(self, _request: Request) -> Reply:
        self._faults.clear()
        return Reply(204)


def _now_us() -> int:
    return time.time_ns() // 1000
