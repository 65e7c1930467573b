"""``python -m portal serve|migrate|parked|stream|lanes``."""

import argparse
import sys

from portal import lanes, parked, service, streams
from portal.settings import DatabaseSettings, PortalSettings
from ticketflow.feed import BadTls
from ticketflow.runtime import log
from ticketflow.runtime.errors import RuntimeFault, SettingsError
from ticketflow.runtime.service import Exit, run
from ticketflow.runtime.settings import load


def main() -> int:
    if sys.argv[1:2] == ["parked"]:
        return parked.main(sys.argv[2:])
    if sys.argv[1:2] == ["stream"]:
        return streams.main(sys.argv[2:])
    if sys.argv[1:2] == ["lanes"]:
        return lanes.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m portal", description="What buyers see of their sales.")
    parser.add_argument(
        "command",
        nargs="?",
        default="serve",
        choices=["serve", "migrate", "parked", "stream", "lanes"],
        help="serve: consume events and answer buyers; migrate: bring the schema up to date, then end;"
        " parked, stream, lanes: see `parked --help`, `stream --help`, `lanes --help`",
    )
    command = parser.parse_args().command
    try:
        settings = load(PortalSettings if command == "serve" else DatabaseSettings, "PORTAL")
        log.configure("portal", settings.instance, settings.log_level)
    except (SettingsError, ValueError) as error:
        print(f"portal: {error}", file=sys.stderr)
        return int(Exit.SETTINGS)
    if isinstance(settings, PortalSettings):
        serve = settings
        return run(
            lambda started: service.serve(started, serve),
            name="portal",
            instance=serve.instance,
            settings_faults=(BadTls,),
        )
    try:
        applied = service.migrate(settings)
    except RuntimeFault as error:
        print(f"portal: {error}", file=sys.stderr)
        return int(Exit.FAILED)
    print(f"portal: {applied} migrations applied", file=sys.stderr)
    return int(Exit.DRAINED)


if __name__ == "__main__":
    sys.exit(main())
