"""Delivery: one way to move a fact from one store to the next, at least once on the wire, exactly once in effect.

Laws of this package:
- outbox -> relay -> feed -> inbox. The logic is written once; all SQL is behind ``Dialect``, twice, side by side.
- Staging and effects live in the caller's transaction. Relay and inbox own their transactions; nothing else commits.
- It imports events, feed and runtime, and no service.
"""

from pathlib import Path

from ticketflow.delivery.dedup import Deduplicator
from ticketflow.delivery.dialect import Arrival, Backlog, Dialect, Pool
from ticketflow.delivery.effects import Batched, Handler
from ticketflow.delivery.errors import (
    DeliveryFault,
    HistoryMoved,
    LeaseLost,
    Poison,
    RewindImpossible,
    StreamFault,
    StreamForked,
    StreamHistoryLost,
)
from ticketflow.delivery.hole_check import HoleCheck
from ticketflow.delivery.inbox import Inbox
from ticketflow.delivery.lanes import Lane, lane_of
from ticketflow.delivery.lanes_barrier import KIND as BARRIER_KIND
from ticketflow.delivery.lanes_change import LaneChange
from ticketflow.delivery.mariadb import MariaDBDialect
from ticketflow.delivery.outbox import Outbox
from ticketflow.delivery.parking import Parking
from ticketflow.delivery.parking_watch import ParkedWatch
from ticketflow.delivery.postgres import PostgresDialect
from ticketflow.delivery.relay import Relay
from ticketflow.delivery.relays import Relays
from ticketflow.delivery.retention import Retention
from ticketflow.delivery.stats import backlog

SCHEMA = {name: Path(__file__).parent / "schema" / name for name in ("postgres", "mariadb")}
"""The folder of migrations for each store, to be applied next to the service's own."""

__all__ = [
    "BARRIER_KIND",
    "SCHEMA",
    "Arrival",
    "Backlog",
    "Batched",
    "Deduplicator",
    "DeliveryFault",
    "Dialect",
    "Handler",
    "HistoryMoved",
    "HoleCheck",
    "Inbox",
    "Lane",
    "LaneChange",
    "LeaseLost",
    "MariaDBDialect",
    "Outbox",
    "ParkedWatch",
    "Parking",
    "Poison",
    "Pool",
    "PostgresDialect",
    "Relay",
    "Relays",
    "Retention",
    "RewindImpossible",
    "StreamFault",
    "StreamForked",
    "StreamHistoryLost",
    "backlog",
    "lane_of",
]
