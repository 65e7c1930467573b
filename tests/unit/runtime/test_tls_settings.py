"""TLS settings of feeds and of the way to RabbitMQ: all or none, none on loopback only.

By default each service knows its neighbours' roles.
"""

from pathlib import Path

import msgspec
import pytest

from billing.settings import ListenerSettings
from bridge.settings import BridgeSettings
from portal.settings import PortalSettings
from reservation.settings import ReservationSettings
from stack.credentials.recipes import Certificate
from stack.credentials.table import TIERS
from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.settings import load
from ticketflow.runtime.tls_settings import ROLE, check_amqp, check_tls

ALL_THREE = (Path("feed.crt"), Path("feed.key"), Path("ca.crt"))
LIST = {"FEED_TLS_ALLOWED": (ROLE + "billing",)}
BRIDGE = {"BRIDGE_HTTP_PORT": "1", "BRIDGE_FEED_PORT": "2", "BRIDGE_AMQP_URL": "amqp://a:secret@localhost"}


def default(settings: type[msgspec.Struct], name: str) -> object:
    [field] = [field for field in msgspec.structs.fields(settings) if field.name == name]
    return field.default


@pytest.mark.parametrize(
    ("settings", "name", "role"),
    [
        (ReservationSettings, "feed_tls_allowed", "portal"),
        (ReservationSettings, "billing_feed_tls_allowed", "billing"),
        (ListenerSettings, "feed_tls_allowed", "reservation"),
        (ListenerSettings, "bridge_feed_tls_allowed", "bridge"),
        (BridgeSettings, "feed_tls_allowed", "billing"),
        (PortalSettings, "reservation_feed_tls_allowed", "reservation"),
        (BridgeSettings, "amqp_tls_allowed", "rabbitmq"),
        (PortalSettings, "amqp_tls_allowed", "rabbitmq"),
    ],
)
def test_by_default_each_knows_its_neighbours_as_their_certificates_name_them(
    settings: type[msgspec.Struct], name: str, role: str
) -> None:
    [tier] = [tier for tier in TIERS if tier.name == role]
    certificate = tier.files.get("feed.crt") or tier.files["tls.crt"]
    assert isinstance(certificate, Certificate)
    assert default(settings, name) == (certificate.uri,)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_feed_without_tls_may_listen_on_loopback(host: str) -> None:
    check_tls("BRIDGE", (None, None, None), LIST, listens_on=host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "bridge1"])
def test_a_feed_that_others_can_reach_needs_tls(host: str) -> None:
    check_tls("BRIDGE", ALL_THREE, LIST, listens_on=host)
    with pytest.raises(ValueError, match=r"BRIDGE_FEED_HOST=.* can be reached from elsewhere"):
        check_tls("BRIDGE", (None, None, None), LIST, listens_on=host)


@pytest.mark.parametrize("missing", range(3))
def test_two_of_the_three_tls_files_are_too_few(missing: int) -> None:
    files = [None if index == missing else path for index, path in enumerate(ALL_THREE)]
    with pytest.raises(ValueError, match="BRIDGE_FEED_TLS_CERT, BRIDGE_FEED_TLS_KEY and BRIDGE_FEED_TLS_CA, or none"):
        check_tls("BRIDGE", files, LIST)


def test_an_allow_list_that_names_nobody_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match="BRIDGE_FEED_TLS_ALLOWED names nobody"):
        load(BridgeSettings, "BRIDGE", BRIDGE | {"BRIDGE_FEED_TLS_ALLOWED": " , "})


def test_an_allow_list_may_hold_several_names() -> None:
    settings = load(BridgeSettings, "BRIDGE", BRIDGE | {"BRIDGE_FEED_TLS_ALLOWED": "billing.example, other.example"})
    assert settings.feed_tls_allowed == ("billing.example", "other.example")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_amqp_without_tls_may_go_to_loopback(host: str) -> None:
    check_amqp("PORTAL", f"amqp://a:secret@{host}:5672/,amqp://a:secret@{host}/", None, (ROLE + "rabbitmq",))


@pytest.mark.parametrize("certificate", [None, *ALL_THREE[:1]])
def test_no_address_of_another_machine_is_plain(certificate: Path | None) -> None:
    with pytest.raises(ValueError, match=r"PORTAL_AMQP_URL goes to rabbitmq2 in plain text: say amqps$"):
        check_amqp("PORTAL", "amqp://a:secret@localhost/, amqp://a:secret@rabbitmq2/", certificate, ("x",))


def test_amqps_needs_a_certificate() -> None:
    with pytest.raises(SettingsError, match=r"BRIDGE_AMQP_URL says amqps: set BRIDGE_FEED_TLS_CERT$"):
        load(BridgeSettings, "BRIDGE", BRIDGE | {"BRIDGE_AMQP_URL": "amqps://a:secret@rabbitmq1/"})


@pytest.mark.parametrize("url", ["http://a:secret@localhost/", "amqp:a:secret", "amqp://a:secret@localhost:port/", ""])
def test_what_is_no_amqp_url_is_said_without_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="PORTAL_AMQP_URL holds something that is n") as raised:
        check_amqp("PORTAL", url, None, ("x",))
    assert "secret" not in str(raised.value)


def test_a_list_of_nodes_that_names_nobody_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match="BRIDGE_AMQP_TLS_ALLOWED names nobody"):
        load(BridgeSettings, "BRIDGE", BRIDGE | {"BRIDGE_AMQP_TLS_ALLOWED": " , "})
