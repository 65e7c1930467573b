"""Where the time goes, of every process, while whole sales go through the ring: ``python -m bench profile FOLDER``.

FOLDER gets a flame graph for each of our processes (py-spy), the functions with the most time of their own, the
statements of each store by time (pg_stat_statements, MariaDB's digests), and who allocates how much (memray).
"""

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from bench.ring_load import Load
from bench.ring_stack import MeasuredStack, RingStack, ring_stack
from bench.run import Run
from stack.programs import SERVICES, Program
from stack.servers.mariadb import MariaDBServer
from stack.servers.postgres import PostgresServer

LOAD_S = 12.0
RECORD_S = 8
RATE_HZ = 200
TOP = 12
STATEMENT_CHARS = 110
CONNECTIONS = 32

STATEMENTS_POSTGRES = """
    SELECT datname, calls, total_exec_time, rows, query FROM pg_stat_statements
      JOIN pg_database ON oid = dbid WHERE datname IN ('reservation', 'portal')
     ORDER BY total_exec_time DESC LIMIT %s"""
STATEMENTS_MARIADB = """
    SELECT schema_name, count_star, sum_timer_wait / 1e9, sum_rows_sent + sum_rows_affected, digest_text
      FROM performance_schema.events_statements_summary_by_digest
     WHERE schema_name = 'billing' ORDER BY sum_timer_wait DESC LIMIT %s"""


class _Postgres(PostgresServer):
    def command(self) -> list[str]:
        wanted = {"shared_preload_libraries": "pg_stat_statements", "track_commit_timestamp": "on"}
        return [*super().command(), *(part for name in wanted for part in ("-c", f"{name}={wanted[name]}"))]


class _MariaDB(MariaDBServer):
    def command(self) -> list[str]:
        return [*super().command(), "--performance-schema=ON"]


class StatementsStack(MeasuredStack):
    """The embedded stack whose stores count their statements."""

    @cached_property
    def postgres(self) -> PostgresServer:
        return _Postgres(self.places.postgres, self.ports.postgres, self.secrets.get("postgres-admin"))

    @cached_property
    def mariadb(self) -> MariaDBServer:
        return _MariaDB(self.places.mariadb, self.ports.mariadb, self.secrets.get("mariadb-admin"))


class AllocationsStack(MeasuredStack):
    """The embedded stack, each of our processes under memray."""

    def programs(self) -> list[Program]:
        return [self._watched(program) if program.priority == SERVICES else program for program in super().programs()]

    def allocations(self, program: str) -> Path:
        return self.places.run / f"{program}.memray"

    def _watched(self, program: Program) -> Program:
        python, *rest = program.command
        out = ["-m", "memray", "run", "--quiet", "--force", "-o", str(self.allocations(program.name))]
        return replace(program, command=[python, *out, *rest])


async def profile(run: Run, folder: Path) -> None:
    """Writes into FOLDER. Takes about two minutes."""
    async with ring_stack(run, StatementsStack) as stack:
        with psycopg.connect(stack.ring.stack.postgres.dsn(), autocommit=True) as conn:
            conn.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
            await _sell(stack, "warm up")
            for form in ("flamegraph", "raw"):
                conn.execute("SELECT pg_stat_statements_reset()")
                with stack.ring.stack.mariadb.connect() as admin, admin.cursor() as cursor:
                    cursor.execute("TRUNCATE performance_schema.events_statements_summary_by_digest")
                run.tell(f"py-spy: {form}")
                sold, _ = await asyncio.gather(_sell(stack, form), _record(stack, folder, form))
            (folder / "statements.txt").write_text("\n".join(_statements(stack, conn, sold)) + "\n")
        (folder / "functions.txt").write_text("\n".join(_functions(folder)) + "\n")
    async with ring_stack(run, AllocationsStack) as stack:
        run.tell("memray")
        sold = await _sell(stack, "allocations")
        made = stack.ring.stack
        assert isinstance(made, AllocationsStack)
        names = [program.name for program in made.programs() if program.priority == SERVICES]
        await asyncio.to_thread(made.supervisor.stop_programs, names)
        told = [f"{sold} sales, the start of each process included"]
        for name in names:
            told += [f"\n== {name}", await _output("-m", "memray", "stats", "-n", "8", str(made.allocations(name)))]
        (folder / "allocations.txt").write_text("\n".join(told) + "\n")
    run.tell(f"in {folder}: *.svg, functions.txt, statements.txt, allocations.txt")


async def _sell(stack: RingStack, name: str) -> int:
    event_id, seats = await stack.event(name)
    port = stack.ring.stack.settings.http_port
    report = await stack.load(Load(port, event_id, seats, CONNECTIONS, LOAD_S, pay=True))
    await stack.committed(event_id, len(report.began), "CONFIRMED")
    return len(report.began)


async def _record(stack: RingStack, folder: Path, form: str) -> None:
    await asyncio.sleep((LOAD_S - RECORD_S) / 2)
    states = stack.ring.stack.supervisor.states()
    services = [program.name for program in stack.ring.stack.programs() if program.priority == SERVICES]
    end = "svg" if form == "flamegraph" else "raw"
    how = ["-d", str(RECORD_S), "-r", str(RATE_HZ), "--nonblocking", "-f", form]
    recording = [
        _output("py-spy", "record", "-p", str(states[name].pid), *how, "-o", f"{folder / name}.{end}", program=True)
        for name in services
    ]
    await asyncio.gather(*recording)


async def _output(*arguments: str, program: bool = False) -> str:
    """What a module, or a program beside this Python, prints."""
    command = (
        [str(Path(sys.executable).parent / arguments[0]), *arguments[1:]] if program else [sys.executable, *arguments]
    )
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return out.decode(errors="replace")


def _statements(stack: RingStack, conn: "psycopg.Connection[TupleRow]", sold: int) -> Iterator[str]:
    yield f"{sold} sales; time as the server counts it, waiting for locks included, COMMIT's fsync not"
    with stack.ring.stack.mariadb.connect() as admin, admin.cursor() as cursor:
        cursor.execute(STATEMENTS_MARIADB, (TOP,))
        rows = [*conn.execute(STATEMENTS_POSTGRES, (2 * TOP,)).fetchall(), *cursor.fetchall()]
    for database, calls, total_ms, touched, query in rows:
        text = " ".join(str(query).split())[:STATEMENT_CHARS]
        each = f"{calls / sold:6.2f} calls {1000 * float(total_ms) / sold:8.1f} us {touched / sold:6.1f} rows a sale"
        yield f"{database:<12} {each}  {text}"


def _functions(folder: Path) -> Iterator[str]:
    """Of each process: the functions in which it is seen most, themselves running."""
    for file in sorted(folder.glob("*.raw")):
        own: Counter[str] = Counter()
        for line in file.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            with contextlib.suppress(ValueError):
                own[stack.rpartition(";")[2]] += int(count)
        total = sum(own.values())
        yield f"== {file.stem}: {total} samples"
        yield from (f"{count / total:6.1%}  {name}" for name, count in own.most_common(TOP))
        file.unlink()
