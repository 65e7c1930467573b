"""``python -m audit [--json] [--all]``, ``python -m audit resolve fork|phantom|hole STREAM ... --note TEXT``.

Exit codes: 0 nothing is unresolved, or it was resolved; 1 something is unresolved, or a store is away; 2 usage.
"""

import argparse
import asyncio
import sys

import asyncpg
import msgspec
import pymysql.err

from audit.report import Report, Seen
from audit.settings import AuditSettings, read
from audit.stores import Histories, open_histories
from ticketflow.delivery.history import NotThere
from ticketflow.delivery.stream_commands import add_resolve, described, others
from ticketflow.runtime import log
from ticketflow.runtime.errors import Indefinite, SettingsError, Unavailable

READ_ONLY_ERRNOS = (1142, 1227, 1290, 1792)  # no right to UPDATE here, or a session that only reads


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    log.configure("audit", "audit", "critical")  # who is away is what the report says, not what is logged
    try:
        return asyncio.run(_run(read(), options))
    except SettingsError as error:
        return _complain("; ".join(error.problems), 2)
    except Indefinite as error:
        return _complain(f"a database did not say whether it was done: look again ({error})", 1)
    except (NotThere, Unavailable) as error:
        return _complain(str(error), 1)


async def _run(settings: AuditSettings, options: argparse.Namespace) -> int:
    async with open_histories(settings) as histories:
        if options.command == "resolve":
            return await _resolve(histories, options)
        report = Report({name: await _seen(histories, name, options.all) for name in histories})
        if report.parted:  # while events flow, a receiver that is asked after its sender has more than that said
            report = report.with_senders_of({name: await _seen(histories, name, options.all) for name in histories})
    if options.json:
        print(msgspec.json.encode(report.as_dict()).decode())
    else:
        print("\n".join(report.lines()))
    return int(report.unresolved)


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
        description="Both ends of every stream, and what of their history is unresolved.",
        epilog="Exit code: 0 nothing is unresolved, or it was resolved; 1 something is unresolved, or a database is"
        " away; 2 usage or settings. What to do about it: docs/operations.md, History that was lost.",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--all", action="store_true", help="what is settled as well")
    add_resolve(parser.add_subparsers(dest="command", metavar="resolve"))
    return parser


def _complain(text: str, code: int) -> int:
    print(f"audit: {text}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
