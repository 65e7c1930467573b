"""``python -m mariadb.galera_node [status | force]``: keep this node; print what each says; begin with this one."""

import signal
import sys

from mariadb.galera_node.election import Report
from mariadb.galera_node.keeper import Keeper
from mariadb.galera_node.reports import ask
from mariadb.galera_node.settings import FORCE, SECRETS, Settings, credential, from_environment


def status(settings: Settings) -> int:
    for node, address in settings.addresses.items():
        heard = ask(node, address)
        print(f"{node}: {_words(heard.report) if heard else 'away'}")
    return 0


def _words(report: Report) -> str:
    return f"{report.phase} {report.position or ('new' if report.born else '-')}"


def force() -> int:
    FORCE.touch()
    print("asked: this node begins as soon as no node that answers is ahead of it, running or busy; see its log")
    return 0


def keep(settings: Settings) -> int:
    for name in SECRETS:
        credential(name)  # without them there is nothing to keep
    keeper = Keeper(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: keeper.stopping.set())
    keeper.run()
    return 0


def main() -> int:
    settings = from_environment()
    match sys.argv[1:]:
        case []:
            return keep(settings)
        case ["status"]:
            return status(settings)
        case ["force"]:
            return force()
    print("usage: galera status | galera force", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
