"""Wiring of the bridge: feed server -> publisher -> RabbitMQ, and a small HTTP face."""

import time
from functools import partial

from bridge.publisher import Publisher
from bridge.requests import Requests
from bridge.rewinds import Rewinds
from bridge.settings import BridgeSettings
from ticketflow.events.topology import TOPOLOGY, Topology
from ticketflow.feed import FeedServer, identity_of, tls_of
from ticketflow.runtime.amqp import Broker
from ticketflow.runtime.amqp_tls import node_tls
from ticketflow.runtime.errors import RuntimeFault
from ticketflow.runtime.http import HttpServer
from ticketflow.runtime.service import Service
from ticketflow.runtime.worker import loop

FEED_DRAIN_S = 5.0  # what is not confirmed by then is sent again by the sender
HTTP_DRAIN_S = 2.0
KEEP_CONNECTED_S = 5.0
TLS_CHECK_S = 5.0  # renewed certificates are looked at that soon; who connects looks as well
TELL_EVERY_S = 2.0  # how much of a sender's progress all the other bridges together may not know
NOTICES_DUE_S = 1.0  # how often to look whether a sender's position is to be published


async def serve(service: Service, settings: BridgeSettings, topology: Topology = TOPOLOGY) -> None:
    """Builds the bridge; it listens whether RabbitMQ is there or not."""
    identity = identity_of(settings.feed_tls_cert, settings.feed_tls_key, settings.feed_tls_ca)
    nodes = node_tls(identity, settings.amqp_tls_allowed)
    broker = Broker(settings.amqp_url, topology, name=settings.instance, tls=nodes)
    rewinds = Rewinds()
    publisher = Publisher(broker, rewinds=rewinds)
    feed = FeedServer(
        publisher,
        host=settings.feed_host,
        port=settings.feed_port,
        ssl=tls_of(identity, settings.feed_tls_allowed),
        name=settings.instance,
        expected_errors=(OSError, TimeoutError, RuntimeFault),
    )
    listening = Broker(settings.amqp_url, topology, name=f"{settings.instance}-requests", tls=nodes)
    requests = Requests(listening, feed, rewinds)
    http = HttpServer(
        [],
        title="TicketFlow bridge",
        version="1",
        host=settings.http_host,
        port=settings.http_port,
        admin_key=None,
        health=service.health,
    )
    service.health.add("rabbitmq", publisher.check)
    await http.start()
    service.on_drain(partial(http.drain, HTTP_DRAIN_S), HTTP_DRAIN_S + 1)
    service.on_drain(broker.close, 3)

    async def keep_connected() -> int:
        """Declares the topology at the start, and finds a lost session before the next event does."""
        await broker.session()
        return 0

    async def notify() -> int:
        streams = {*feed.streams, *rewinds.begun(time.monotonic())}
        return sum([await publisher.notify(stream) for stream in sorted(streams)])

    async def tell() -> int:
        await requests.tell()
        return 0

    service.run_task("requests", requests.run)
    service.run_task("tell", lambda: loop("tell", tell, idle_s=TELL_EVERY_S))
    service.run_task("notices", lambda: loop("notices", notify, wake=publisher.opened, idle_s=NOTICES_DUE_S))
    service.run_task("keep-connected", lambda: loop("keep-connected", keep_connected, idle_s=KEEP_CONNECTED_S))
    if identity is not None:
        service.run_task("tls", partial(loop, "tls", identity.run_once, idle_s=TLS_CHECK_S))
    await feed.start()
    service.on_drain(partial(feed.drain, FEED_DRAIN_S), FEED_DRAIN_S + 1)
