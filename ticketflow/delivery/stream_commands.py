"""``python -m SERVICE stream ...``: the history of a service's streams, on the command line.

Exit codes as in runtime: 0; 1 failed, or (show, phantoms) something is unresolved; 2 usage. An error is one line on
stderr.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from ticketflow.delivery.dialect_history import Finding, Phantom
from ticketflow.delivery.history import ACTOR_CHARS_MAX, NOTE_CHARS_MAX, NotThere, StreamHistory, whoever
from ticketflow.runtime.errors import Indefinite, SettingsError, Unavailable
from ticketflow.runtime.service import Exit

Opened = Callable[[], AbstractAsyncContextManager[StreamHistory[Any]]]


def main(service: str, arguments: Sequence[str], opened: Opened) -> int:
    """Runs one command on what ``opened`` opens; gives the exit code."""
    options = _parser(service).parse_args(arguments)
    try:
        with asyncio.Runner() as runner:
            return runner.run(_command(options, opened))
    except SettingsError as error:
        return _complain(service, "; ".join(error.problems), Exit.SETTINGS)
    except Indefinite as error:
        return _complain(service, f"the database did not say whether it was done: look again ({error})")
    except (NotThere, Unavailable) as error:
        return _complain(service, str(error))
    except Exception as error:
        return _complain(service, f"{type(error).__name__}: {error}")


async def _command(options: argparse.Namespace, opened: Opened) -> int:
    async with opened() as history:
        if options.command == "show":
            found = await history.findings(settled=options.all)
            told = msgspec.json.encode([finding._asdict() for finding in found]).decode()
            print(told if options.json else listed(found))
            return int(Exit.FAILED if any(is_open(finding) for finding in found) else Exit.DRAINED)
        if options.command == "phantoms":
            await _must_know(history, options.stream)
            lost = await history.phantoms(options.stream)
            print(msgspec.json.encode([phantom._asdict() for phantom in lost]).decode() if options.json else rows(lost))
            return int(Exit.FAILED if lost else Exit.DRAINED)
        if options.command == "resolve":
            await _must_know(history, options.stream)
            count = await history.resolve(
                options.what,
                options.stream,
                epoch=options.epoch,
                seq=options.seq,
                note=options.note,
                actor=options.actor,
            )
            print(f"resolved: {count}")
            return int(Exit.DRAINED)
        epoch = await history.fork(
            options.stream, from_epoch=options.from_epoch, after_seq=options.after, actor=options.actor
        )
        print(f"{options.stream} goes on in epoch {epoch}")
        return int(Exit.DRAINED)


async def _must_know(history: StreamHistory[Any], stream: str) -> None:
    """Raises NotThere for a name that is no stream's here."""
    known = {end.stream for end in await history.ends()} | {found.stream for found in await history.findings()}
    if stream not in known:
        raise NotThere(f"there is no stream {stream} here{others(stream, known)}")


def is_open(finding: Finding) -> bool:
    """Whether nobody has settled it."""
    return finding.state not in ("resolved", "filled")


def listed(findings: Sequence[Finding]) -> str:
    """A line for each."""
    if not findings:
        return "no forks, phantoms or holes"
    return "\n".join(
        f"{finding.what}  {finding.stream} ({finding.side})  epoch {finding.epoch}"
        f"  seqs {finding.first_seq}..{finding.last_seq}  {finding.events} events"
        f"  found {finding.found_at:%Y-%m-%d %H:%M:%S}Z  {finding.state}{': ' if finding.note else ''}{finding.note}"
        for finding in findings
    )


def rows(phantoms: Sequence[Phantom]) -> str:
    """A line for each."""
    if not phantoms:
        return "no phantoms"
    return "\n".join(
        f"seq {phantom.seq}  key {phantom.key or '-'}  event {phantom.event_id}  epoch {phantom.epoch}"
        f"  received {phantom.received_at:%Y-%m-%d %H:%M:%S}Z{'  parked' if phantom.parked else ''}"
        for phantom in phantoms
    )


def add_resolve(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """``resolve``, which `python -m audit` has as well."""
    text = "say that a fork, phantoms or holes are settled"
    more = f"{text}: they are no longer shown as unresolved. Changes nothing else; kept in delivery_audit"
    resolve = commands.add_parser("resolve", help=text, description=more)
    resolve.add_argument("what", choices=["fork", "phantom", "hole"])
    resolve.add_argument("stream", metavar="STREAM", help="as listed: billing, say, or its lane billing.1")
    resolve.add_argument("--epoch", type=_count, metavar="E", help="of this epoch only")
    resolve.add_argument("--seq", type=_count, metavar="SEQ", help="the one phantom, or the hole that begins, there")
    resolve.add_argument("--note", required=True, type=_text(NOTE_CHARS_MAX), metavar="TEXT", help="how it was settled")
    add_actor(resolve)


def described(options: argparse.Namespace) -> str:
    """What is to be resolved, for a message."""
    epoch = "" if options.epoch is None else f", epoch {options.epoch}"
    return f"{options.what} of {options.stream}{epoch}" + ("" if options.seq is None else f", seq {options.seq}")


def others(stream: str, known: Collection[str]) -> str:
    """What to add to a message about a stream that does not exist."""
    return "" if stream in known or not known else f": the streams are {', '.join(sorted(known))}"


def add_actor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--actor", type=_text(ACTOR_CHARS_MAX), default=whoever(), help="who, for the audit (%(default)s)"
    )


def _parser(service: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m {service} stream",
        description=f"Forks, phantoms and holes of the streams of {service}.",
        epilog="Exit code: 0 done; 1 failed, or (show, phantoms) something is unresolved; 2 usage or settings."
        " What to do: docs/operations.md, History that was lost.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="show|phantoms|resolve|fork")
    show = commands.add_parser("show", help="what is unresolved; exit code 1 when there is anything")
    show.add_argument("--all", action="store_true", help="what is settled as well")
    show.add_argument("--json", action="store_true", help="for programs")
    text = "each event that was received and that its sender no longer has, with its key (the sale)"
    phantoms = commands.add_parser("phantoms", help=text, description=text)
    phantoms.add_argument("stream", metavar="STREAM", help="as `show` lists it")
    phantoms.add_argument("--json", action="store_true", help="for programs")
    add_resolve(commands)
    text = "begin a new epoch, for a receiver that stands in one of which this sender knows nothing"
    more = f"{text}. What the receiver has beyond SEQ becomes phantoms, and all after SEQ is sent again."
    fork = commands.add_parser("fork", help=text, description=more)
    fork.add_argument("stream", metavar="STREAM")
    fork.add_argument("--from-epoch", type=_count, required=True, metavar="E", help="the receiver's")
    fork.add_argument("--after", type=_count, required=True, metavar="SEQ", help="up to where both are the same")
    add_actor(fork)
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 2^63-1")
    return int(text)


def _text(chars_max: int) -> Callable[[str], str]:
    def text(given: str) -> str:
        if not given.strip() or len(given) > chars_max or "\0" in given:
            raise argparse.ArgumentTypeError(f"give 1 to {chars_max} characters")
        return given

    return text


def _complain(service: str, text: str, code: Exit = Exit.FAILED) -> int:
    print(f"{service} stream: {text}", file=sys.stderr)
    return int(code)
