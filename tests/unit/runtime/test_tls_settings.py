"""TLS settings of feeds: all or none, none on loopback only; by default each service knows its neighbours' roles."""

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
from ticketflow.runtime.tls_settings import ROLE, check_tls

ALL_THREE = (Path("feed.crt"), Path("feed.key"), Path("ca.crt"))
LIST = {"FEED_TLS_ALLOWED": (ROLE + "billing",)}
BRIDGE = {"BRIDGE_HTTP_PORT": "1", "BRIDGE_FEED_PORT": "2", "BRIDGE_AMQP_URL": "amqp://a"}


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
    ],
)
def test_by_default_each_knows_its_neighbours_as_their_certificates_name_them(
    settings: type[msgspec.Struct], name: str, role: str
) -> None:
    [tier] = [tier for tier in TIERS if tier.name == role]
    certificate = tier.files["feed.crt"]
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
