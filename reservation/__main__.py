"""``python -m reservation serve|migrate|parked|stream|lanes``."""

import argparse
import sys

from reservation import lanes, parked, service, streams
from reservation.settings import DatabaseSettings, ReservationSettings
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
    parser = argparse.ArgumentParser(prog="python -m reservation", description="Who has which seat.")
    parser.add_argument(
        "command",
        nargs="?",
        default="serve",
        choices=["serve", "migrate", "parked", "stream", "lanes"],
        help="serve: answer buyers and settle sales; migrate: bring the schema up to date, then end;"
        " parked, stream, lanes: see `parked --help`, `stream --help`, `lanes --help`",
    )
    command = parser.parse_args().command
    try:
        settings = load(ReservationSettings if command == "serve" else DatabaseSettings, "RESERVATION")
        log.configure("reservation", settings.instance, settings.log_level)
    except (SettingsError, ValueError) as error:
        print(f"reservation: {error}", file=sys.stderr)
        return int(Exit.SETTINGS)
    if isinstance(settings, ReservationSettings):
        serve = settings
        return run(
            lambda started: service.serve(started, serve),
            name="reservation",
            instance=serve.instance,
            settings_faults=(BadTls,),
        )
    try:
        applied = service.migrate(settings)
    except RuntimeFault as error:
        print(f"reservation: {error}", file=sys.stderr)
        return int(Exit.FAILED)
    print(f"reservation: {applied} migrations applied", file=sys.stderr)
    return int(Exit.DRAINED)


if __name__ == "__main__":
    sys.exit(main())
