"""``python -m sandbox provider``: runs one stand-in."""

import argparse
import sys

from sandbox import service
from sandbox.settings import ProviderSettings
from ticketflow.runtime import log
from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.service import Exit, run
from ticketflow.runtime.settings import load


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Stand-ins for outside parties.")
    parser.add_argument(
        "command", nargs="?", default="provider", choices=["provider"], help="provider: the payment provider"
    )
    parser.parse_args()
    try:
        settings = load(ProviderSettings, "SANDBOX")
        log.configure("sandbox", settings.instance, settings.log_level)
    except (SettingsError, ValueError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return int(Exit.SETTINGS)
    return run(lambda started: service.provider(started, settings), name="sandbox", instance=settings.instance)


if __name__ == "__main__":
    sys.exit(main())
