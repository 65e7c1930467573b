"""``python -m SERVICE parked ...``: the command line over a shelf. Exit codes as in runtime: 0, 1 failed, 2 usage.

An error is one line on stderr; there is never a traceback.
"""

import argparse
import asyncio
import getpass
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

from ticketflow.delivery import parking_output as output
from ticketflow.delivery.parking_dialect import ROWS_MAX, ParkedEvent, Wanted
from ticketflow.delivery.parking_shelf import REHEARSED_MAX, STAYS, NotParked, Outcome, Shelf
from ticketflow.runtime.errors import Indefinite, SettingsError, Unavailable
from ticketflow.runtime.service import Exit
from ticketflow.runtime.settings import host_name

Opened = Callable[[], AbstractAsyncContextManager[Shelf]]

REASONS = ("poison", "undecodable", "failed", "behind")
LIMIT_MAX = 10_000
ACTOR_CHARS_MAX = 255
REASON_CHARS_MAX = 2000

EPILOG = """\
TARGET is an ID of the list, an event's id, or a key (a sale's). Only the first event of a key can be applied: the
others wait behind it, and follow. list shows the first of each key; --all, or --key, shows those behind as well."""


def main(service: str, arguments: Sequence[str], opened: Opened) -> int:
    """Runs one command on what ``opened`` opens; gives the exit code."""
    options = _parser(service).parse_args(arguments)
    try:
        with asyncio.Runner() as runner:
            return runner.run(_command(options, opened))
    except SettingsError as error:
        return _complain(service, "; ".join(error.problems), Exit.SETTINGS)
    except NotParked as error:
        return _complain(service, str(error))
    except Unavailable as error:
        return _complain(service, f"the database is away: {error}")
    except Indefinite as error:
        return _complain(service, f"the database did not say whether it was done: look at the list again ({error})")
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.DRAINED)
    except KeyboardInterrupt:
        return _complain(service, "interrupted; each event that was told is done", Exit.ABORTED)
    except Exception as error:
        return _complain(service, f"{type(error).__name__}: {error}")


async def _command(options: argparse.Namespace, opened: Opened) -> int:
    async with opened() as shelf:
        if options.command == "list":
            return await _list(shelf, options)
        if options.command == "show":
            return await _show(shelf, options)
        if options.command == "discard":
            return await _discard(shelf, options)
        return await _requeue(shelf, options)


async def _list(shelf: Shelf, options: argparse.Namespace) -> int:
    every = options.all or options.key is not None
    found = await shelf.look(Wanted(options.stream, options.key, options.reason, every, options.limit + 1))
    events, more = found[: options.limit], len(found) > options.limit
    if options.json:
        _say(output.as_json({"parked": [output.as_dict(event) for event in events], "more": more}))
    else:
        _say(output.listed(events, more=more))
    return int(Exit.DRAINED)


async def _show(shelf: Shelf, options: argparse.Namespace) -> int:
    event = await shelf.find(options.target)
    _say(output.as_json(output.as_dict(event)) if options.json else output.shown(event))
    return int(Exit.DRAINED)


async def _discard(shelf: Shelf, options: argparse.Namespace) -> int:
    event = await shelf.find(options.id)
    if options.id not in (event.id, event.event_id):
        raise NotParked(f"{options.id!r} is a key: name the one event to be discarded by its id, such as {event.id}")
    await shelf.discard(event, options.reason, options.actor)
    if options.json:
        _say(output.as_json({"discarded": output.as_dict(event)}))
        return int(Exit.DRAINED)
    _say(f"discarded {event.id}; its bytes are kept in delivery_audit")
    if event.behind:
        _say(f"{event.behind} later events of its key still wait: `parked requeue {output.plain(event.key)}`")
    return int(Exit.DRAINED)


async def _requeue(shelf: Shelf, options: argparse.Namespace) -> int:
    """One key after the other; a key whose event fails again does not keep the next from its turn."""
    outcomes: list[Outcome] = []
    for first in await _chosen(shelf, options):
        if options.dry_run:
            rehearsed = await shelf.rehearse(first)
            outcomes += rehearsed
            for outcome in rehearsed:
                _tell(outcome, options)
            continue
        async for outcome in shelf.requeue(first, options.actor):
            outcomes.append(outcome)
            _tell(outcome, options)
    stay = [outcome for outcome in outcomes if outcome.result in STAYS]
    waiting = sum(outcome.event.behind for outcome in stay)
    if options.json:
        events = [output.outcome_as_dict(outcome) for outcome in outcomes]
        _say(output.as_json({"dry_run": options.dry_run, "events": events, "waiting": waiting}))
    else:
        if options.dry_run and len(outcomes) >= REHEARSED_MAX:
            _say(f"a dry run tries {REHEARSED_MAX} events of a key at most")
        _say(output.summed(outcomes, dry_run=options.dry_run, waiting=waiting))
    return int(Exit.FAILED if stay else Exit.DRAINED)


async def _chosen(shelf: Shelf, options: argparse.Namespace) -> list[ParkedEvent]:
    if options.all_of is None:
        return [await shelf.find(options.target)]
    found = await shelf.look(Wanted(reason=options.all_of, rows_max=LIMIT_MAX))
    if not found:
        raise NotParked(f"no first event of a key is parked for the reason {options.all_of}")
    return found


def _tell(outcome: Outcome, options: argparse.Namespace) -> None:
    if not options.json:
        _say(output.told(outcome, dry_run=options.dry_run))


def _say(text: str) -> None:
    print(text, flush=True)


def _complain(service: str, text: str, code: Exit = Exit.FAILED) -> int:
    print(f"{service} parked: {output.plain(text)}", file=sys.stderr)
    return int(code)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(int(Exit.SETTINGS), f"{self.prog}: {message} (--help says more)\n")


def _parser(service: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=f"python -m {service} parked",
        description=f"Events that {service} could not apply, and those that wait behind them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list|show|requeue|discard")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.add_argument("--json", action="store_true", help="for programs: one JSON document")
        return added

    listing = command("list", "what is parked, oldest first")
    listing.add_argument("--stream", help="of this stream only")
    listing.add_argument("--key", help="of this key only, those behind as well")
    listing.add_argument("--reason", choices=REASONS, help="for this reason only")
    listing.add_argument("--all", action="store_true", help="those behind as well")
    listing.add_argument("--limit", type=_limit, default=ROWS_MAX, metavar="N", help=f"rows at most ({ROWS_MAX})")
    command("show", "one event, decoded, with its last error").add_argument("target", metavar="TARGET")
    requeue = command("requeue", "apply a key's parked events in order, until one fails again")
    which = requeue.add_mutually_exclusive_group(required=True)
    which.add_argument("target", metavar="TARGET", nargs="?")
    which.add_argument("--all-of", choices=REASONS, metavar="REASON", help="all keys whose first event has this reason")
    requeue.add_argument("--dry-run", action="store_true", help="only say what would happen; nothing is changed")
    discard = command("discard", "remove one event for good; it will not be applied when it comes again")
    discard.add_argument("id", metavar="ID")
    discard.add_argument("--reason", required=True, type=_reason, metavar="TEXT", help="why, for the audit")
    for changing in (requeue, discard):
        changing.add_argument("--actor", type=_actor, default=_whoever(), help="who, for the audit (%(default)s)")
    return parser


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= LIMIT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {LIMIT_MAX}")
    return int(text)


def _reason(text: str) -> str:
    if not text.strip() or len(text) > REASON_CHARS_MAX:
        raise argparse.ArgumentTypeError(f"a reason has 1 to {REASON_CHARS_MAX} characters")
    return text


def _actor(text: str) -> str:
    if not text.strip() or len(text) > ACTOR_CHARS_MAX:
        raise argparse.ArgumentTypeError(f"an actor has 1 to {ACTOR_CHARS_MAX} characters")
    return text


def _whoever() -> str:
    """The user of the system at this host; a container may have no name for its user."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    return f"{user} @ {host_name()}"[:ACTOR_CHARS_MAX]
