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
from ticketflow.delivery.stream_commands import add_resolve
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
    """In whichever stores it stands. A store that is away, or read-only, ends it: nothing is settled half unnoticed."""
    count = 0
    for name, history in histories.items():
        try:
            found = await history.findings()
            if not any(finding.what == options.what and finding.stream == options.stream for finding in found):
                continue
            count += await history.resolve(
                options.what,
                options.stream,
                epoch=options.epoch,
                seq=options.seq,
                note=options.note,
                actor=options.actor,
            )
        except asyncpg.PostgresError as error:
            return _refused(name, error, isinstance(error, asyncpg.ReadOnlySQLTransactionError))
        except pymysql.err.Error as error:
            return _refused(name, error, error.args[0] in READ_ONLY_ERRNOS)
    if count == 0:
        raise NotThere(f"no unresolved {options.what} of {options.stream}")
    print(f"resolved: {count}")
    return 0


def _refused(name: str, error: Exception, read_only: bool) -> int:
    if read_only:
        return _complain(f"this account may only read: use `python -m {name} stream resolve` where {name} runs", 1)
    return _complain(f"{name}: {error}", 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m audit", description="Both ends of every stream, and what of their history is unresolved."
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
