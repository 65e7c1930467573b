"""``python -m SERVICE lanes show|set N``: into how many lanes the service's stream is split.

Exit codes as in runtime: 0, 1 failed, 2 usage. An error is one line on stderr.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from ticketflow.delivery.lanes import LANES_MAX, LaneState
from ticketflow.delivery.lanes_change import LaneChange
from ticketflow.delivery.stream_commands import add_actor
from ticketflow.runtime.errors import Indefinite, SettingsError, Unavailable
from ticketflow.runtime.service import Exit

Opened = Callable[[], AbstractAsyncContextManager[LaneChange[Any]]]

EPILOG = """\
The change is one transaction, nothing has to be stopped for it, and it takes a few seconds until every replica goes on
with the new number. Before the first `set` above 1 both ends of the stream must run this version or a newer one: an
older receiver refuses the new lanes, and older replicas of the sender relay nothing while there are several. Before
such a version is installed again, `set 1`."""


def main(service: str, arguments: Sequence[str], opened: Opened) -> int:
    """Runs one command on what ``opened`` opens; gives the exit code."""
    options = _parser(service).parse_args(arguments)
    try:
        with asyncio.Runner() as runner:
            return runner.run(_command(options, opened))
    except SettingsError as error:
        return _complain(service, "; ".join(error.problems), Exit.SETTINGS)
    except Indefinite as error:
        return _complain(service, f"the database did not say whether it was done: look at `show` ({error})")
    except Unavailable as error:
        return _complain(service, f"the database is away: {error}")
    except Exception as error:
        return _complain(service, f"{type(error).__name__}: {error}")


async def _command(options: argparse.Namespace, opened: Opened) -> int:
    async with opened() as lanes:
        if options.command == "set" and not await lanes.set(options.lanes, actor=options.actor):
            print(f"{lanes.family} has {options.lanes} already", file=sys.stderr)
        print(listed(lanes.family, await lanes.states()))
    return int(Exit.DRAINED)


def listed(family: str, states: Sequence[LaneState]) -> str:
    """A line for each lane, those that are retired and still kept among them."""
    count = next((state.lanes for state in states if state.lane.number == 0), 1)
    lines = [f"{family}: {count} {'lane' if count == 1 else 'lanes'}"]
    for state in states:
        if state.at_work or state.last_seq:
            retired = "" if state.lane.number < count else "  retired" + ("" if state.kept else ", empty")
            waiting = state.last_seq - state.acked_seq
            lines.append(f"  {state.lane.stream}  last {state.last_seq}  unacknowledged {waiting}{retired}")
    return "\n".join(lines)


def _parser(service: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {service} lanes",
        description=f"Into how many lanes the stream of {service} is split: one relay each, spread over the replicas.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="show|set")
    commands.add_parser("show", help="how many there are, and how far each is")
    change = commands.add_parser("set", help="change how many there are")
    change.add_argument("lanes", type=_number, metavar="N", help=f"1 to {LANES_MAX}")
    add_actor(change)
    return parser


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LANES_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {LANES_MAX}")
    return int(text)


def _complain(service: str, text: str, code: Exit = Exit.FAILED) -> int:
    print(f"{service} lanes: {text}", file=sys.stderr)
    return int(code)
