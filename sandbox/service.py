"""Wiring of the sandbox's processes."""

from sandbox.accounts import Accounts
from sandbox.provider import SILENCE_S, PaymentProvider
from sandbox.settings import ProviderSettings
from ticketflow.runtime.http import HttpServer
from ticketflow.runtime.service import Service

VERSION = "1"


async def provider(service: Service, settings: ProviderSettings) -> None:
    """The payment provider."""
    bank = PaymentProvider(Accounts(settings.state_path))
    server = HttpServer(
        bank.routes(),
        title="Payment provider (sandbox)",
        version=VERSION,
        host=settings.http_host,
        port=settings.http_port,
        admin_key=settings.provider_key,
        health=service.health,
        request_timeout_s=SILENCE_S + 30,  # it must outlast every fault
    )
    service.on_drain(bank.close, 2)
    service.on_drain(lambda: server.drain(1), 2)
    await server.start()
