"""What a connection says before it is one: who we are, which vhost, how large frames may be. Pure."""

import platform

from pamqp import commands
from yarl import URL

from ticketflow.runtime.amqp_frames import FRAME_BYTES_MAX, Malformed

HEARTBEAT_S = 5
CHANNELS_MAX = 2047  # RabbitMQ's own limit
FRAME_BYTES_MIN = 4096  # by the standard every peer takes these
PORTS = {"amqp": 5672, "amqps": 5671}
# What we understand of RabbitMQ's additions; without the last one it would hang up on a wrong password without a word.
CAPABILITIES = (
    "publisher_confirms",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "authentication_failure_close",
)


def with_defaults(url: str, name: str) -> URL:
    """``url`` with a heartbeat, and the name under which the broker lists the connection; its own go first."""
    parsed = URL(url)
    return parsed.update_query({"heartbeat": str(HEARTBEAT_S), "name": name} | dict(parsed.query))


def port_of(url: URL) -> int:
    return url.port or PORTS[url.scheme]


def vhost_of(url: URL) -> str:
    """No path, or `/`, or `/%2F`: the vhost that is called `/`."""
    return url.path[1:].replace("%2F", "/") or "/"


def heartbeat_of(url: URL) -> int:
    """In seconds; 0: none."""
    text = url.query.get("heartbeat", "")
    return int(text) if text.isdecimal() and int(text) < 2**16 else HEARTBEAT_S


def start_ok(start: commands.Connection.Start, url: URL) -> commands.Connection.StartOk:
    """Logs in by user and password. Raises Malformed when the broker takes none."""
    if "PLAIN" not in str(start.mechanisms).split():
        raise Malformed(f"it takes no password, only {start.mechanisms}")
    return commands.Connection.StartOk(
        client_properties={
            "product": "ticketflow",
            "platform": f"Python {platform.python_version()}",
            "connection_name": url.query.get("name", ""),
            "capabilities": dict.fromkeys(CAPABILITIES, True),
        },
        mechanism="PLAIN",
        response=f"\0{url.user or 'guest'}\0{url.password or 'guest'}",
        locale="en_US",
    )


def tune_ok(tune: commands.Connection.Tune, url: URL) -> commands.Connection.TuneOk:
    """The smaller of what either side wants; 0 is no wish. Raises Malformed."""
    agreed = commands.Connection.TuneOk(
        channel_max=_smaller(tune.channel_max, CHANNELS_MAX),
        frame_max=_smaller(tune.frame_max, FRAME_BYTES_MAX),
        heartbeat=_smaller(tune.heartbeat, heartbeat_of(url)) if heartbeat_of(url) else 0,
    )
    if agreed.frame_max < FRAME_BYTES_MIN:
        raise Malformed(f"it takes frames of {agreed.frame_max} bytes only")
    return agreed


def _smaller(theirs: int | None, ours: int) -> int:
    return min(theirs or ours, ours)
