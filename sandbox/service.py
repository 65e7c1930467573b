"""Wiring of the sandbox's processes."""

import asyncio
from functools import partial

from sandbox.accounts import Accounts
from sandbox.announcements import Announcements
from sandbox.books import Books
from sandbox.checkouts import Checkouts
from sandbox.desk import SILENCE_S, Desk
from sandbox.mercadopago_api import MercadoPagoApi
from sandbox.notices import Notices
from sandbox.pages import Pages
from sandbox.provider import PaymentProvider
from sandbox.settings import ProviderSettings
from sandbox.stripe_api import StripeApi
from sandbox.webhook_api import WebhookApi
from sandbox.webhooks import WebhookSender
from ticketflow.runtime.http import HttpServer, Route
from ticketflow.runtime.service import Service
from ticketflow.runtime.worker import loop

VERSION = "2"


async def provider(service: Service, settings: ProviderSettings) -> None:
    """The payment provider, on all its wires."""
    wake = asyncio.Event()
    accounts = Accounts(settings.state_path)
    desk = Desk(accounts, wake.set)
    notices = Notices(accounts.database)
    checkouts = Checkouts(accounts.database)
    announcements = Announcements(accounts, notices if settings.webhook_url else None)
    key = settings.provider_key
    routes: list[Route] = [
        *PaymentProvider(desk, Books(accounts.database), checkouts, announcements).routes(),
        *Pages(desk, accounts, checkouts, announcements).routes(),
        *StripeApi(desk, checkouts, announcements, key, search_lag_s=settings.search_lag_s).routes(),
        *MercadoPagoApi(desk, checkouts, announcements, key, currency=settings.mercadopago_currency).routes(),
    ]
    service.on_drain(desk.close, 2)
    if settings.webhook_url:
        sender = WebhookSender(notices, desk, settings.webhook_url, settings.webhook_secrets)
        routes += WebhookApi(desk, notices, sender, wake.set).routes()
        service.on_drain(sender.close, 1)
        service.run_task("webhooks", partial(loop, "webhooks", sender.run_once, idle_s=sender.idle_s, wake=wake))
    server = HttpServer(
        routes,
        title="Payment provider (sandbox)",
        version=VERSION,
        host=settings.http_host,
        port=settings.http_port,
        admin_key=settings.provider_key,
        health=service.health,
        request_timeout_s=SILENCE_S + 30,  # it must outlast every fault
    )
    service.on_drain(lambda: server.drain(1), 2)
    await server.start()
