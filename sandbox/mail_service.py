"""Wiring of the mail server."""

import asyncio

from aiosmtpd.smtp import SMTP

from sandbox.mail import MailCatcher
from sandbox.postbox import Postbox
from sandbox.settings import MailSettings
from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.http import HttpServer
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.service import Service

VERSION = "1"
MAIL_BYTES_MAX = 1_000_000
SILENCE_S = 60.0  # a client that says nothing for so long is cut

log = get_logger("mail")


async def mail(service: Service, settings: MailSettings) -> None:
    """SMTP on one port, HTTP on another. Raises OSError when one is taken, SettingsError."""
    catcher = MailCatcher(Postbox())
    loop = asyncio.get_running_loop()
    try:
        tls = settings.tls()
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError([f"SANDBOX_SMTP_TLS_CERT: {error}"]) from error

    def connection() -> SMTP:
        return SMTP(
            catcher,
            data_size_limit=MAIL_BYTES_MAX,
            hostname="sandbox",
            ident="sandbox",
            tls_context=tls,
            timeout=SILENCE_S,
            loop=loop,
        )

    listener = await loop.create_server(connection, settings.smtp_host, settings.smtp_port)
    log.info("smtp_listens", host=settings.smtp_host, port=settings.smtp_port)

    async def close() -> None:
        listener.close()

    service.on_drain(close, 1)
    server = HttpServer(
        catcher.routes(),
        title="Mail catcher (sandbox)",
        version=VERSION,
        host=settings.http_host,
        port=settings.http_port,
        admin_key=None,
        health=service.health,
    )
    service.on_drain(lambda: server.drain(1), 2)
    await server.start()
