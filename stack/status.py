"""`status`: each process, and how far each hop is behind."""

import asyncio
import logging
from collections.abc import Sequence

import aio_pika
import psycopg
import pymysql

from stack import queries
from stack.progress import say
from stack.servers.rabbitmq import RabbitMQServer
from stack.stack import Stack
from stack.supervision import ProcessState
from ticketflow.events.topology import SALES_DEAD_QUEUE, SALES_QUEUE

FEEDS = (("reservation", "billing"), ("billing", "bridge"), ("portal", "reservation"))  # the bridge sets nothing aside

# It also logs what it raises; without a handler that would go to the user's terminal.
logging.getLogger("aiormq").addHandler(logging.NullHandler())


def show(stack: Stack) -> int:
    """Prints both tables. Returns 1 when something does not run, 0 when all is well."""
    states = stack.supervisor.states()
    if not states:
        say("the stack is not running: `make run` starts it")
        return 1
    names = [program.name for program in stack.programs() if program.name in states]
    _print(("process", "state", "pid", "up"), [_process(states[name]) for name in names])
    say("")
    _print(("hop", "by", "waiting", "oldest", "parked"), _hops(stack))
    say(f"\n{stack.settings.base_url}   logs: {stack.places.logs}")
    return 0 if all(states[name].running for name in names) else 1


def _process(state: ProcessState) -> Sequence[str]:
    if state.state == "RUNNING":
        return state.name, "running", str(state.pid), _duration(state.up_s)
    return state.name, state.state.lower(), str(state.pid or "-"), state.said if state.state != "STOPPED" else "-"


def _hops(stack: Stack) -> list[Sequence[str]]:
    try:
        with queries.stores(stack) as stores:
            backlogs, parked = stores.backlogs(), stores.parked()
    except (psycopg.Error, pymysql.err.MySQLError, OSError) as error:
        said = str(error).strip().splitlines()[-1]
        return [("a store does not answer", said, "-", "-", "-")]
    rows: list[Sequence[str]] = []
    for sender, receiver in FEEDS:
        backlog = backlogs[sender]
        waiting, oldest = str(backlog.events), _duration(backlog.oldest_s)
        rows.append((f"{sender} -> {receiver}", "feed", waiting, oldest, str(parked.get(receiver, "-"))))
    rows.insert(2, ("bridge -> portal", "RabbitMQ", _queue(stack), "-", str(parked["portal"])))
    return rows


def _queue(stack: Stack) -> str:
    """Messages that wait for the portal. What it has fetched and not acknowledged yet is not among them."""
    try:
        ready, dead = asyncio.run(_depths(stack.rabbitmq))
    except (OSError, TimeoutError, aio_pika.exceptions.AMQPError) as error:
        return f"no answer ({type(error).__name__})"
    return f"{ready}, {dead} dead" if dead else str(ready)


async def _depths(server: RabbitMQServer) -> tuple[int, int]:
    context = server.tls.client() if server.tls is not None else None
    async with asyncio.timeout(5):
        connection = await aio_pika.connect(server.amqp_url(), ssl_context=context)
        async with connection:
            channel = await connection.channel()
            queues = [await channel.declare_queue(name, passive=True) for name in (SALES_QUEUE, SALES_DEAD_QUEUE)]
            ready, dead = (queue.declaration_result.message_count or 0 for queue in queues)
            return ready, dead


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 or seconds == 0 else f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:.0f} min"


def _print(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
