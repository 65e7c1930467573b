"""Settings that cannot work are refused at the start, by name."""

import pytest

from billing.settings import ListenerSettings, WebSettings
from ticketflow.runtime.errors import SettingsError
from ticketflow.runtime.settings import load

DATABASE = {
    "BILLING_DATABASE_HOSTS": "a:3306,b:3306",
    "BILLING_DATABASE_NAME": "billing",
    "BILLING_DATABASE_USER": "billing",
    "BILLING_DATABASE_PASSWORD": "secret-1",
    "BILLING_HTTP_PORT": "1",
    "BILLING_PROVIDER_URL": "http://provider",
    "BILLING_PROVIDER_KEY": "secret-2",
}
LISTENER = DATABASE | {"BILLING_FEED_PORT": "2", "BILLING_BRIDGE_FEED": "c:1,d:2"}
WEB = DATABASE | {"BILLING_ADMIN_KEY": "secret-3", "BILLING_HOLD_TOKEN_KEYS": "k1,k2"}


def test_the_listener_knows_several_databases_and_bridges() -> None:
    settings = load(ListenerSettings, "BILLING", LISTENER)
    assert [str(address) for address in settings.database_hosts] == ["a:3306", "b:3306"]
    assert [str(address) for address in settings.bridge_feed] == ["c:1", "d:2"]


def test_the_first_token_key_signs_and_secrets_are_not_shown() -> None:
    settings = load(WebSettings, "BILLING", WEB)
    assert settings.hold_token_keys == ("k1", "k2")
    assert not any(secret in repr(settings) for secret in ("secret-1", "secret-2", "secret-3", "k1"))


def test_half_a_tls_setting_is_refused() -> None:
    with pytest.raises(SettingsError, match="BILLING_FEED_TLS_CA, or none of them"):
        load(ListenerSettings, "BILLING", LISTENER | {"BILLING_FEED_TLS_CERT": "/cert"})


def test_every_missing_setting_is_named() -> None:
    with pytest.raises(SettingsError) as refused:
        load(WebSettings, "BILLING", {})
    assert len(refused.value.problems) == len(WEB)
