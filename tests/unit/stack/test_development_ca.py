"""The embedded stack's services find each other, and RabbitMQ, by their development certificates."""

import ssl
from pathlib import Path

import msgspec
import pytest

from billing.settings import ListenerSettings
from bridge.settings import BridgeSettings
from portal.settings import PortalSettings
from reservation.settings import ReservationSettings
from stack import development_ca
from stack.programs import service_environment
from stack.settings import Settings
from stack.stack import Stack
from ticketflow.feed import Tls, identity_of, server_context, tls_of
from ticketflow.feed.tls import peer_names
from ticketflow.runtime.settings import load

SETTINGS: dict[str, type[msgspec.Struct]] = {
    "reservation-1": ReservationSettings,
    "reservation-2": ReservationSettings,
    "billing-listener": ListenerSettings,
    "bridge": BridgeSettings,
    "portal": PortalSettings,
}


class Embedded:
    """What each service of the stack would make of its settings."""

    def __init__(self, run: Path) -> None:
        self.stack = Stack(Settings(run, 20000, 20100))
        self.stack.places.secrets.mkdir(parents=True)
        development_ca.make(self.stack.places.tls)
        self.stack.write_derived_secrets()

    def settings(self, name: str) -> msgspec.Struct:
        [service] = [service for service in self.stack.services if service.name == name]
        return load(SETTINGS[name], service.module, service_environment(service, self.stack.places.secrets))

    def tls(self, name: str, allowed: str) -> Tls:
        """As the service's wiring makes it, with one of its allow-lists."""
        settings = self.settings(name)
        files = [getattr(settings, f"feed_tls_{part}") for part in ("cert", "key", "ca")]
        tls = tls_of(identity_of(*files), getattr(settings, allowed))
        assert tls is not None, "its feed would be plain"
        return tls


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Embedded:
    return Embedded(tmp_path_factory.mktemp("stack") / "run")


def names_shown(client: ssl.SSLContext, server: ssl.SSLContext) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of the sender and of the receiver, after a handshake in memory."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sender = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    receiver = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [sender, receiver]
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    return peer_names(receiver.getpeercert()), peer_names(sender.getpeercert())


@pytest.mark.parametrize(
    ("sender", "whom_it_feeds", "receiver"),
    [
        ("reservation-1", "billing_feed_tls_allowed", "billing-listener"),
        ("reservation-2", "billing_feed_tls_allowed", "billing-listener"),
        ("billing-listener", "bridge_feed_tls_allowed", "bridge"),
        ("portal", "reservation_feed_tls_allowed", "reservation-1"),
        ("portal", "reservation_feed_tls_allowed", "reservation-2"),
    ],
)
def test_each_feed_of_the_stack_opens(embedded: Embedded, sender: str, whom_it_feeds: str, receiver: str) -> None:
    feeding, listening = embedded.tls(sender, whom_it_feeds), embedded.tls(receiver, "feed_tls_allowed")
    of_sender, of_receiver = names_shown(feeding.identity.client, listening.identity.server)
    assert listening.admits(of_sender)
    assert feeding.admits(of_receiver)


@pytest.mark.parametrize("client", ["bridge", "portal"])
def test_rabbitmq_is_reached_by_tls_only(embedded: Embedded, client: str) -> None:
    settings, server = embedded.settings(client), embedded.stack.rabbitmq
    assert isinstance(settings, BridgeSettings | PortalSettings)
    assert settings.amqp_url.startswith("amqps://")
    assert ("listeners.tcp", "none") in server._settings()
    assert server.tls is not None
    going = embedded.tls(client, "amqp_tls_allowed")
    of_client, of_node = names_shown(
        going.identity.client, server_context(server.tls.cert, server.tls.key, server.tls.ca)
    )
    assert going.admits(of_node)
    assert f"spiffe://ticketflow/{client}" in of_client


def test_no_listener_lets_in_another_role(embedded: Embedded) -> None:
    admitted = {
        (role, name)
        for role in development_ca.SERVICES
        for name in ("reservation-1", "billing-listener", "bridge")
        if embedded.tls(name, "feed_tls_allowed").admits([f"spiffe://ticketflow/{role}"])
    }
    assert admitted == {("portal", "reservation-1"), ("reservation", "billing-listener"), ("billing", "bridge")}


def test_only_its_owner_reads_the_keys_and_a_second_make_changes_nothing(embedded: Embedded) -> None:
    tls = embedded.stack.places.tls
    before = {path: path.read_bytes() for path in tls.rglob("*") if path.is_file()}
    assert {path.stat().st_mode & 0o077 for path in before} == {0}
    development_ca.make(tls)
    assert {path: path.read_bytes() for path in tls.rglob("*") if path.is_file()} == before
