"""``python -m bridge serve``."""

import argparse
import sys

from bridge import service
from bridge.settings import BridgeSettings
from ticketflow.feed import BadTls
from ticketflow.runtime import log
from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.service import Exit, run
from ticketflow.runtime.settings import load


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bridge", description="From the feed to RabbitMQ.")
    parser.add_argument(
        "command", nargs="?", default="serve", choices=["serve"], help="serve: take the feed and publish it"
    )
    parser.parse_args()
    try:
        settings = load(BridgeSettings, "BRIDGE")
        log.configure("bridge", settings.instance, settings.log_level)
    except (SettingsError, ValueError) as error:
        print(f"bridge: {error}", file=sys.stderr)
        return int(Exit.SETTINGS)
    return run(
        lambda started: service.serve(started, settings),
        name="bridge",
        instance=settings.instance,
        settings_faults=(BadTls,),
    )


if __name__ == "__main__":
    sys.exit(main())
