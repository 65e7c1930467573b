"""`python -m stack`: the embedded stack, and the credentials of a cluster, from the command line."""

import argparse
import fcntl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from stack import credentials, seed, settings, status, up
from stack.demo import sale
from stack.errors import StackError
from stack.programs import service_environment
from stack.progress import say, step
from stack.stack import Stack


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        stack = Stack(settings.load())
        run: Callable[[Stack, argparse.Namespace], int] = options.run
        return run(stack, options)
    except StackError as error:
        print(f"stack: {error}", file=sys.stderr)
    except PermissionError as error:
        print(f"stack: no permission for {error.filename}: run it as its owner or as root", file=sys.stderr)
    except OSError as error:
        print(f"stack: {error.strerror}: {error.filename or 'no file'}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def _up(stack: Stack, _options: argparse.Namespace) -> int:
    with _alone(stack):
        say(f"TicketFlow in {stack.settings.run}")
        up.up(stack)
        with step("seed data"):
            seed.seed(stack)
    say(f"\nup: {stack.settings.base_url}   make status, make logs, make stop")
    return 0


def _demo(stack: Stack, _options: argparse.Namespace) -> int:
    _must_run(stack)
    return sale.demo(stack)


def _status(stack: Stack, _options: argparse.Namespace) -> int:
    return status.show(stack)


def _stop(stack: Stack, _options: argparse.Namespace) -> int:
    if stack.settings.run.exists():
        with _alone(stack):
            up.stop(stack)
    else:
        say("the stack is not running")
    return 0


def _clean(stack: Stack, options: argparse.Namespace) -> int:
    _stop(stack, options)
    stack.places.remove()
    say(f"removed {stack.settings.run}")
    return 0


def _logs(stack: Stack, options: argparse.Namespace) -> int:
    names = options.names or ["*"]
    files = sorted({path for name in names for path in stack.places.logs.glob(f"{name}.log")})
    if not files:
        raise StackError(f"there are no logs in {stack.places.logs}: `make run` starts the stack")
    command = ["tail", "-n", "20", *(["-F"] if options.follow else []), *map(str, files)]
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 0


def _restart(stack: Stack, options: argparse.Namespace) -> int:
    stack.supervisor.pid(options.name)
    with step(f"stopping {options.name}"):
        stack.supervisor.stop_programs([options.name])
    stack.supervisor.start_programs([options.name])
    return 0


def _kill(stack: Stack, options: argparse.Namespace) -> int:
    stack.supervisor.kill(options.name)
    say(f"killed {options.name}; the supervisor starts it again")
    return 0


def _run(stack: Stack, options: argparse.Namespace) -> int:
    """The exit code is the command's own."""
    _must_run(stack)
    service = next((one for one in stack.services if options.service in (one.name, one.module)), None)
    if service is None:
        modules = sorted({one.module for one in stack.services})
        raise StackError(f"there is no service {options.service}: {', '.join(modules)}")
    command = [sys.executable, "-m", service.module, *options.arguments]
    environment = service_environment(service, stack.places.secrets)
    return subprocess.run(command, cwd=settings.ROOT, env=environment, check=False).returncode


def _credentials(_stack: Stack, options: argparse.Namespace) -> int:
    if options.show:
        say(credentials.show(options.into, options.show))
    else:
        credentials.make(options.into)
    return 0


def _must_run(stack: Stack) -> None:
    if not stack.supervisor.is_up():
        raise StackError("the stack is not running: `make run` starts it")


@contextmanager
def _alone(stack: Stack) -> Iterator[None]:
    """One command at a time may change a stack."""
    stack.places.make_run()
    with (stack.settings.run / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("another `python -m stack` is at work here: wait for it to end") from None
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[Stack, argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    command("up", _up, "start what does not run, migrate, seed")
    command("demo", _demo, "120 buyers want 60 seats; then the walk of one sale")
    command("status", _status, "each process, each hop's backlog and lag")
    command("stop", _stop, "end every process; data stays")
    command("clean", _clean, "stop, and remove the data")
    logs = command("logs", _logs, "the ends of the logs")
    logs.add_argument("names", nargs="*", help="process names (all, when none is given)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on showing what is added")
    command("restart", _restart, "stop and start one process").add_argument("name")
    command("kill", _kill, "SIGKILL one process, to see it come back").add_argument("name")
    ran = command("run", _run, "a command of a service, with its settings: run billing parked list")
    ran.add_argument("service", metavar="SERVICE")
    ran.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...")
    made = command("credentials", _credentials, "make the passwords, keys and certificates of a cluster")
    made.add_argument("--into", type=Path, required=True, metavar="DIR", help="a folder for each tier is made there")
    made.add_argument("--show", metavar="TIER/FILE", help="print one that is there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
