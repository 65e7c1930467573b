"""Which provider, by the settings."""

from billing.providers.mercadopago import MercadoPagoProvider
from billing.providers.port import Provider
from billing.providers.sandbox import SandboxProvider
from billing.providers.stripe import StripeProvider
from billing.settings import ProviderSettings


def provider_of(settings: ProviderSettings) -> Provider:
    """Not opened yet."""
    url, key, secrets = settings.provider_url, settings.provider_key, settings.provider_webhook_secrets
    match settings.provider:
        case "stripe":
            return StripeProvider(url, key, webhook_secrets=secrets, return_url=settings.provider_return_url)
        case "mercadopago":
            assert settings.provider_currency is not None, "the settings see to it"
            return MercadoPagoProvider(
                url,
                key,
                currency=settings.provider_currency,
                webhook_secrets=secrets,
                return_url=settings.provider_return_url,
                notify_url=settings.provider_notify_url,
                payer_email=settings.provider_payer_email,
            )
        case "sandbox":
            return SandboxProvider(url, key, webhook_secrets=secrets)
