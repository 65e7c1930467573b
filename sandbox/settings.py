"""Settings of the sandbox, from SANDBOX_*."""

from pathlib import Path

import msgspec

from ticketflow.runtime.settings import Secret


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``state_path``: the SQLite file; it is made when it is not there."""

    http_host: str = "127.0.0.1"
    http_port: int
    provider_key: Secret
    state_path: Path
    instance: str = "sandbox"
    log_level: str = "info"
