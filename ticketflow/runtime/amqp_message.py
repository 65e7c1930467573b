"""What goes into an AMQP session and what comes out of it."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ticketflow.runtime.errors import RuntimeFault

Headers = Mapping[str, str | int]


class Outgoing(msgspec.Struct, frozen=True):
    """A message to be published: persistent, mandatory."""

    exchange: str
    routing_key: str
    headers: Headers
    body: bytes


class Delivery(msgspec.Struct, frozen=True):
    """A message that arrived and waits for its ack. ``tag`` is of this session only."""

    tag: int
    routing_key: str
    headers: Mapping[str, object]
    body: bytes
    redelivered: bool


class Published(NamedTuple):
    """``confirmed`` messages, counted from the first, are safe; ``failure`` says why not all are.

    Those behind the first unconfirmed may have been taken as well: publish again from there, and expect duplicates.
    """

    confirmed: int
    failure: RuntimeFault | None


class QueueFacts(NamedTuple):
    messages: int
    consumers: int
