"""Giving everything back that stands in one authorization, whatever became of it."""

from billing.providers.port import Authorization, Provider, ProviderUnavailable, Refused


async def give_back(provider: Provider, known: Authorization) -> None:
    """Afterwards nothing of it is set aside or kept. May be repeated: its keys follow from the authorization. Raises
    ProviderUnavailable, ProviderIndefinite."""
    state, kept_minor = known.state, known.kept_minor
    if state == "authorized":
        try:
            await provider.void(known.authorization_id, key=f"{known.authorization_id}:void")
        except Refused as error:
            found = await provider.read(known.authorization_id)
            if found is None or found.state == "authorized":
                raise ProviderUnavailable(f"void refused: {error}") from error
            kept_minor = found.kept_minor
    if kept_minor > 0:
        try:
            await provider.refund(
                known.authorization_id, kept_minor, key=f"{known.authorization_id}:refund:{kept_minor}"
            )
        except Refused as error:
            raise ProviderUnavailable(f"refund refused: {error}") from error
