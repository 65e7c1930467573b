"""``python -m billing web | listener | migrate | parked | stream | lanes``."""

import argparse
import sys
from typing import TypeVar

from billing import lanes, parked, service, streams
from billing.settings import DatabaseSettings, ListenerSettings, WebSettings
from ticketflow.feed import BadTls
from ticketflow.runtime import log
from ticketflow.runtime.errors import MigrationError, SettingsError, Unavailable
from ticketflow.runtime.service import Exit, run
from ticketflow.runtime.settings import load

PREFIX = "BILLING"

S = TypeVar("S", bound=DatabaseSettings)


def main() -> int:
    if sys.argv[1:2] == ["parked"]:
        return parked.main(sys.argv[2:])
    if sys.argv[1:2] == ["stream"]:
        return streams.main(sys.argv[2:])
    if sys.argv[1:2] == ["lanes"]:
        return lanes.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m billing", description="Orders, payments and tickets.")
    parser.add_argument(
        "command",
        choices=["web", "listener", "migrate", "parked", "stream", "lanes"],
        help="web: the API; listener: the feed, the relay and the workers; migrate: bring the schema up to date;"
        " parked, stream, lanes: see `parked --help`, `stream --help`, `lanes --help`",
    )
    command = parser.parse_args().command
    try:
        if command == "migrate":
            return _migrate(_loaded(DatabaseSettings))
        if command == "web":
            web = _loaded(WebSettings)
            return run(lambda started: service.web(started, web), name="billing", instance=web.instance)
        listener = _loaded(ListenerSettings)
        return run(
            lambda started: service.listener(started, listener),
            name="billing",
            instance=listener.instance,
            settings_faults=(BadTls,),
        )
    except (SettingsError, ValueError) as error:
        print(f"billing: {error}", file=sys.stderr)
        return int(Exit.SETTINGS)


def _loaded(shape: type[S]) -> S:
    settings = load(shape, PREFIX)
    log.configure("billing", settings.instance, settings.log_level)
    return settings


def _migrate(settings: DatabaseSettings) -> int:
    try:
        service.run_migrations(settings)
    except (MigrationError, Unavailable) as error:
        print(f"billing: {error}", file=sys.stderr)
        return int(Exit.FAILED)
    return int(Exit.DRAINED)


if __name__ == "__main__":
    sys.exit(main())
