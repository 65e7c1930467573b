"""Bringing the stack up, step by step, and taking it down. Every step may be repeated."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from stack import development_ca, orphans, ports, settings
from stack.errors import StackError
from stack.programs import FRONT, SERVERS, SERVICES, Program, Service, service_environment
from stack.progress import say, step
from stack.servers.base import PROBE_INTERVAL_S, Server
from stack.stack import Stack
from stack.stores import ensure_mariadb, ensure_postgres

SERVICE_READY_S = 60
MIGRATE_S = 120


def up(stack: Stack) -> None:
    """Everything runs and is ready when this returns; what ran already and is unchanged was left alone."""
    _place(stack)
    programs = stack.programs()
    _check_ports(stack, programs)
    _prepare(stack)
    _supervise(stack, programs)
    settings.record(stack.settings)
    _start_stores(stack)
    with step("databases and their users"):
        for name in ("reservation", "portal"):
            ensure_postgres(stack.postgres, name, stack.secrets.get(f"{name}-database"))
        ensure_mariadb(stack.mariadb, "billing", stack.secrets.get("billing-database"))
    with step("migrations"):
        _migrate(stack)
    _start_services(stack, [program for program in programs if program.priority == SERVICES])
    stack.supervisor.start_programs([stack.nginx.name])
    with step(f"nginx on {stack.settings.base_url}"):
        _wait_server(stack, stack.nginx)


def stop(stack: Stack) -> None:
    """Ends every process: the front, then the services, then the servers, each at its own pace."""
    supervisor = stack.supervisor
    if not supervisor.is_up():
        left = orphans.end(stack.settings.run)
        say(f"ended what a killed supervisor had left: {', '.join(left)}" if left else "the stack is not running")
        return
    running = supervisor.states()
    for what, priority in (("the front", FRONT), ("the services", SERVICES), ("the servers", SERVERS)):
        names = [program.name for program in stack.programs() if program.priority == priority]
        with step(f"stopping {what}"):
            supervisor.stop_programs(name for name in names if name in running)
    stack.rabbitmq.after_stop()
    supervisor.shutdown()
    orphans.end(stack.settings.run)


def _place(stack: Stack) -> None:
    placed = stack.places.make()
    if placed:
        say(f"  {placed}")
    lost = [
        name
        for name, data in (("postgres-admin", stack.places.postgres), ("mariadb-admin", stack.places.mariadb))
        if (data / "data").exists() and not stack.secrets.path(name).exists()
    ]
    if lost:
        raise StackError(f"{stack.secrets.path(lost[0])} is gone, and its data is locked without it: `make clean`")


def _check_ports(stack: Stack, programs: list[Program]) -> None:
    """Every port that no process of ours holds must be free. Raises StackError."""
    states = stack.supervisor.states()
    if not states and (left := orphans.end(stack.settings.run)):
        say(f"  ended what a killed supervisor had left: {', '.join(left)}")
    moved = settings.load({"TICKETFLOW_RUN_DIR": str(stack.settings.run)}) != stack.settings
    for program in programs:
        if moved or program.name not in states or not states[program.name].running:
            ports.check_free(stack.settings, program.ports)


def _prepare(stack: Stack) -> None:
    for server in (*stack.stores, stack.nginx):
        with step(f"preparing {server.name}"):
            server.prepare()
    stack.write_derived_secrets()
    development_ca.make(stack.places.tls)


def _supervise(stack: Stack, programs: list[Program]) -> None:
    supervisor = stack.supervisor
    supervisor.write_config(programs)
    if not supervisor.is_up():
        with step("starting the supervisor"):
            supervisor.start()
        return
    _added, changed, removed = supervisor.reload()
    if changed or removed:
        say(f"  changed since the last start: {', '.join([*changed, *removed])}")


def _start_stores(stack: Stack) -> None:
    stack.supervisor.start_programs(server.name for server in stack.stores)
    for server in stack.stores:
        with step(f"{server.name} on port {next(iter(server.ports().values()))}"):
            _wait_server(stack, server)


def _wait_server(stack: Stack, server: Server) -> None:
    def alive() -> bool:  # BACKOFF: it ended and is about to be tried again, as when a killed one's memory is in use
        state = stack.supervisor.states()[server.name]
        return state.running or state.state == "BACKOFF"

    try:
        server.wait_ready(90, alive)
    except StackError as error:
        raise StackError(f"{error}: see {stack.places.logs / server.name}.log") from error


def _migrate(stack: Stack) -> None:
    """All services at the same time: they share nothing."""
    started = [_start_migration(stack, service) for service in stack.services if service.migrates]
    failed = []
    for module, process in started:
        try:
            code = process.wait(MIGRATE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code != 0:
            failed.append(f"{module}'s migrations failed: see {_migration_log(stack, module)}")
    if failed:
        raise StackError("; ".join(failed))


def _start_migration(stack: Stack, service: Service) -> tuple[str, "subprocess.Popen[bytes]"]:
    with _migration_log(stack, service.module).open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", service.module, "migrate"],
            cwd=settings.ROOT,
            env=service_environment(service, stack.places.secrets),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    return service.module, process


def _migration_log(stack: Stack, module: str) -> Path:
    return stack.places.logs / f"{module}-migrate.log"


def _start_services(stack: Stack, programs: list[Program]) -> None:
    stack.supervisor.start_programs(program.name for program in programs)
    deadline = time.monotonic() + SERVICE_READY_S
    for program in programs:
        assert program.ready_port is not None
        with step(f"{program.name} on port {program.ready_port}"):
            while said := not_ready(program.ready_port):
                state = stack.supervisor.states()[program.name]
                if state.state == "FATAL" or time.monotonic() > deadline:
                    log = stack.places.logs / f"{program.name}.log"
                    raise StackError(f"{program.name} is not ready ({said}): see {log}")
                time.sleep(PROBE_INTERVAL_S)


def not_ready(port: int) -> str | None:
    """What a service's /readyz says against it; None when it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=3):
            return None
    except urllib.error.HTTPError as error:
        return f"{error.code} {error.read(500).decode(errors='replace').strip()}"
    except OSError as error:
        return str(getattr(error, "reason", error))
