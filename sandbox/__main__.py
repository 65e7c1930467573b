"""``python -m sandbox provider|mail``: runs one stand-in."""

import argparse
import sys

from sandbox import mail_service, service
from sandbox.settings import MailSettings, ProviderSettings
from ticketflow.runtime import log
from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.service import Exit, run
from ticketflow.runtime.settings import load


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="Stand-ins for outside parties.")
    parser.add_argument(
        "command",
        nargs="?",
        default="provider",
        choices=["provider", "mail"],
        help="provider: the payment provider; mail: a mail server that keeps what it is given, and shows it",
    )
    command = parser.parse_args().command
    try:
        settings: MailSettings | ProviderSettings = (
            load(MailSettings, "SANDBOX") if command == "mail" else load(ProviderSettings, "SANDBOX")
        )
        log.configure("sandbox", settings.instance, settings.log_level)
    except (SettingsError, ValueError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return int(Exit.SETTINGS)
    if isinstance(settings, MailSettings):
        catching = settings
        return run(lambda started: mail_service.mail(started, catching), name="sandbox", instance=catching.instance)
    providing = settings
    return run(lambda started: service.provider(started, providing), name="sandbox", instance=providing.instance)


if __name__ == "__main__":
    sys.exit(main())
