"""``python -m audit [--event ID] [--json] [--repair [KIND...] [--yes]]``, ``python -m audit watch``,
``python -m audit resolve fork|phantom|hole STREAM ... --note TEXT``.

Exit codes: 0 all is well, or it was resolved; 1 there are differences, or something of the streams is unresolved; 2 it
could not look (a store or the provider is away), usage, settings.
"""

import argparse
import asyncio
import sys
from typing import Any

import asyncpg
import msgspec
import pymysql.err

from audit import watch
from audit.money import words
from audit.money.command import Wish, reconcile
from audit.money.kinds import KINDS
from audit.report import Report, Seen
from audit.settings import AuditSettings, read
from audit.stores import Histories, open_histories
from ticketflow.delivery.history import NotThere
from ticketflow.delivery.stream_commands import add_actor, add_resolve, described, others
from ticketflow.events import is_id
from ticketflow.runtime import log
from ticketflow.runtime.errors import Indefinite, SettingsError, Unavailable

READ_ONLY_ERRNOS = (1142, 1227, 1290, 1792)  # no right to UPDATE here, or a session that only reads


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "watch":
        return watch.main()
    if options.yes and options.repair is None:
        parser.error("--yes is for --repair")
    log.configure("audit", "audit", "critical")  # who is away is what the report says, not what is logged
    try:
        return asyncio.run(_run(read(), options))
    except SettingsError as error:
        return _complain("; ".join(error.problems), 2)
    except Indefinite as error:
        return _complain(f"a database did not say whether it was done: look again ({error})", 1)
    except NotThere as error:
        return _complain(str(error), 1)
    except Unavailable as error:
        return _complain(str(error), 2)


async def _run(settings: AuditSettings, options: argparse.Namespace) -> int:
    if options.command == "resolve":
        async with open_histories(settings) as histories:
            return await _resolve(histories, options)
    text: list[str] = []
    found: dict[str, Any] = {}
    codes: list[int] = []
    if options.only in (None, "streams") and options.event is None:
        report = await _streams(settings, options)
        text += report.lines()
        found |= report.as_dict()
        codes.append(1 if report.open else 2 if report.away else 0)
    if options.only in (None, "money"):
        wish = Wish(options.event, options.provider, options.repair, options.yes, options.actor)
        outcome, repaired = await reconcile(settings, wish)
        text += ["", *words.lines(outcome, repaired)] if text else words.lines(outcome, repaired)
        found["reconciliation"] = words.as_dict(outcome, repaired)
        codes.append(1 if outcome.counts else 2 if outcome.away else 0)
    print(msgspec.json.encode(found).decode() if options.json else "\n".join(text))
    return 1 if 1 in codes else max(codes)


async def _streams(settings: AuditSettings, options: argparse.Namespace) -> Report:
    async with open_histories(settings) as histories:
        report = Report({name: await _seen(histories, name, options.all) for name in histories})
        if report.parted:  # while events flow, a receiver that is asked after its sender has more than that said
            report = report.with_senders_of({name: await _seen(histories, name, options.all) for name in histories})
    return report


async def _seen(histories: Histories, name: str, settled: bool) -> Seen:
    try:
        return Seen(await histories[name].ends(), await histories[name].findings(settled=settled))
    except (Unavailable, Indefinite, asyncpg.PostgresError, pymysql.err.Error) as error:
        return Seen(away=f"{type(error).__name__}: {error}")


async def _resolve(histories: Histories, options: argparse.Namespace) -> int:
    """In whichever stores it stands. One that is away, or read-only, is named, and the exit code is 1."""
    count, known, faults = 0, set[str](), list[str]()
    for name, history in histories.items():
        try:
            known |= {end.stream for end in await history.ends()}
            found = await history.findings()
            if any(finding.what == options.what and finding.stream == options.stream for finding in found):
                count += await history.resolve(
                    options.what,
                    options.stream,
                    epoch=options.epoch,
                    seq=options.seq,
                    note=options.note,
                    actor=options.actor,
                )
        except NotThere:
            pass  # of that stream, and not that epoch or seq
        except Unavailable as error:
            faults.append(f"{name} could not be asked: {error}")
        except (asyncpg.PostgresError, pymysql.err.Error) as error:
            faults.append(_refusal(name, error))
    if count:
        print(f"resolved: {count}")
    elif not faults:
        raise NotThere(f"no unresolved {described(options)}{others(options.stream, known)}")
    for fault in faults:
        _complain(fault, 1)
    return int(bool(faults))


def _refusal(name: str, error: Exception) -> str:
    if isinstance(error, pymysql.err.Error):
        read_only = bool(error.args) and error.args[0] in READ_ONLY_ERRNOS
    else:
        read_only = isinstance(error, asyncpg.ReadOnlySQLTransactionError | asyncpg.InsufficientPrivilegeError)
    if read_only:
        return f"this account may only read: use `python -m {name} stream resolve` where {name} runs"
    return f"{name}: {error}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m audit",
        description="Both ends of every stream, and whether seats = orders = ledger = provider = portal.",
        epilog="Exit code: 0 all is well, or it was resolved; 1 differences, or something is unresolved; 2 a store or"
        " the provider is away, usage or settings. What to do: docs/money.md, Reconciliation, and docs/operations.md,"
        " History that was lost.",
    )
    parser.add_argument("--event", type=_event, metavar="ID", help="of this event only, without the streams")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--all", action="store_true", help="what is settled of the streams as well")
    parser.add_argument("--only", choices=["streams", "money"], help="a part of it")
    parser.add_argument(
        "--provider",
        choices=["all", "recent", "none"],
        help="about which payments the provider is asked: those that changed lately, or with --event all",
    )
    parser.add_argument(
        "--repair",
        nargs="*",
        choices=list(KINDS),
        metavar="KIND",
        help="say what would mend these kinds of differences, or all kinds",
    )
    parser.add_argument("--yes", action="store_true", help="do it; each leaves a row in delivery_audit")
    add_actor(parser)
    commands = parser.add_subparsers(dest="command", metavar="resolve | watch")
    add_resolve(commands)
    commands.add_parser("watch", help="go round for ever, and tell by metrics; repairs nothing")
    return parser


def _event(text: str) -> str:
    if not is_id(text):
        raise argparse.ArgumentTypeError("an event's id is a UUIDv7 in lower case")
    return text


def _complain(text: str, code: int) -> int:
    print(f"audit: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
