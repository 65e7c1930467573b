"""Settings that cannot work are refused at the start, by name."""

import pytest

from billing.providers.choice import provider_of
from billing.providers.mercadopago import MercadoPagoProvider
from billing.providers.sandbox import SandboxProvider
from billing.providers.stripe import StripeProvider
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


@pytest.mark.parametrize(
    ("name", "adapter"),
    [
        ("", SandboxProvider),
        ("sandbox", SandboxProvider),
        ("stripe", StripeProvider),
        ("mercadopago", MercadoPagoProvider),
    ],
)
def test_the_provider_is_the_one_that_is_named(name: str, adapter: type) -> None:
    chosen = {"BILLING_PROVIDER": name, "BILLING_PROVIDER_CURRENCY": "BRL"}
    for shape, base in ((WebSettings, WEB), (ListenerSettings, LISTENER)):
        assert type(provider_of(load(shape, "BILLING", base | chosen))) is adapter


def test_webhook_secrets_are_a_list_and_not_shown() -> None:
    settings = load(WebSettings, "BILLING", WEB | {"BILLING_PROVIDER_WEBHOOK_SECRETS": "whsec_new,whsec_old"})
    assert settings.provider_webhook_secrets == ("whsec_new", "whsec_old")
    assert "whsec_old" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("BILLING_PROVIDER", "paypal", "'paypal' is none of sandbox, stripe, mercadopago"),
        ("BILLING_PROVIDER", "mercadopago", "BILLING_PROVIDER_CURRENCY must be the currency"),
    ],
)
def test_a_provider_that_cannot_work_is_refused(name: str, value: str, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        load(WebSettings, "BILLING", WEB | {name: value})


def test_refunds_go_at_a_pace_that_can_be_set() -> None:
    assert load(ListenerSettings, "BILLING", LISTENER).refunds_per_s == 10
    assert load(ListenerSettings, "BILLING", LISTENER | {"BILLING_REFUNDS_PER_S": "250"}).refunds_per_s == 250
    for wrong in ("0", "-1", "1001", "2.5", "many"):
        with pytest.raises(SettingsError, match="BILLING_REFUNDS_PER_S"):
            load(ListenerSettings, "BILLING", LISTENER | {"BILLING_REFUNDS_PER_S": wrong})


@pytest.mark.parametrize("most", ["0", "-1", str(10**15 + 1), "much"])
def test_the_largest_top_up_is_an_amount(most: str) -> None:
    assert load(WebSettings, "BILLING", WEB).topup_max_minor == 100_000
    assert load(WebSettings, "BILLING", WEB | {"BILLING_TOPUP_MAX_MINOR": "5"}).topup_max_minor == 5
    with pytest.raises(SettingsError, match="TOPUP_MAX_MINOR"):
        load(WebSettings, "BILLING", WEB | {"BILLING_TOPUP_MAX_MINOR": most})
