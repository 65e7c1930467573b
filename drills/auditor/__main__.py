"""``python -m drills.auditor final EVENT SINCE | watch [EVENT] | replicas``: reads all stores, writes nothing.

final      everything of the ticketed event, and of the time since SINCE (Unix seconds): history.Stores as JSON
watch      an observation.Observation as JSON, each second; reads event ids to look at from stdin, one a line
replicas   how Galera's nodes differ, a JSON list of lines for people
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import aiohttp
import msgspec

from drills.auditor import final, replicas
from drills.auditor.settings import AuditorSettings, read
from drills.auditor.stores import Stores, open_stores
from drills.auditor.watch import Watch
from drills.auditor.web import Web
from drills.errors import AuditFailed
from ticketflow.runtime import log
from ticketflow.runtime.errors import Indefinite, SettingsError, Unavailable

WATCH_STATEMENT_S = 2.0
FINAL_STATEMENT_S = 60.0

Work = Callable[[AuditorSettings, Stores, Web], Awaitable[None]]


def main() -> int:
    options = _options()
    work: dict[str, tuple[Work, float]] = {
        "final": (partial(_final, options), FINAL_STATEMENT_S),
        "watch": (partial(_watch, options), WATCH_STATEMENT_S),
        "replicas": (_replicas, FINAL_STATEMENT_S),
    }
    log.configure("auditor", "auditor", "critical")  # who is away is what the watch says, not what it logs
    try:
        settings = read(os.environ)
        with suppress(KeyboardInterrupt, BrokenPipeError):
            asyncio.run(_with_stores(settings, *work[options.what]))
    except (SettingsError, AuditFailed, Unavailable, Indefinite) as error:
        print(f"auditor: {error}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m drills.auditor", description="Reads all stores, writes nothing.")
    commands = parser.add_subparsers(dest="what", required=True)
    command = commands.add_parser("final")
    command.add_argument("event")
    command.add_argument("since", type=float)
    commands.add_parser("watch").add_argument("event", nargs="?")
    commands.add_parser("replicas")
    return parser.parse_args()


async def _with_stores(settings: AuditorSettings, work: Work, statement_s: float) -> None:
    async with open_stores(settings, statement_s) as stores, aiohttp.ClientSession() as session:
        await work(settings, stores, Web(session))


async def _final(options: argparse.Namespace, settings: AuditorSettings, stores: Stores, web: Web) -> None:
    _say(await final.read(settings, stores, web, options.event, options.since))


async def _replicas(_settings: AuditorSettings, stores: Stores, _web: Web) -> None:
    _say(await replicas.differences(stores))


async def _watch(options: argparse.Namespace, settings: AuditorSettings, stores: Stores, web: Web) -> None:
    watch = Watch(settings, stores, web)
    watch.event_id = options.event
    listening = asyncio.create_task(_listen(watch))
    running = asyncio.create_task(watch.run(_say))
    done, _ = await asyncio.wait({listening, running}, return_when=asyncio.FIRST_COMPLETED)
    for task in (listening, running):
        task.cancel()
    await asyncio.gather(listening, running, return_exceptions=True)
    for task in done:
        task.result()  # raises what went wrong


async def _listen(watch: Watch) -> None:
    """Takes event ids until stdin ends: with it ends whoever wanted to know."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        watch.event_id = line.decode().strip() or None


def _say(what: Any) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
