"""`python -m SERVICE` serves, and without settings says in plain lines which are missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("module", "prefix"),
    [("reservation", "RESERVATION"), ("portal", "PORTAL"), ("bridge", "BRIDGE"), ("sandbox", "SANDBOX")],
)
def test_a_bare_start_serves_and_names_every_missing_setting(module: str, prefix: str) -> None:
    bare = {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
    started = subprocess.run(
        [sys.executable, "-m", module], env=bare, capture_output=True, text=True, timeout=30, check=False
    )
    assert started.returncode == 2
    assert f"{prefix}_HTTP_PORT" in started.stderr
    assert "usage:" not in started.stderr
    assert "Traceback" not in started.stderr


@pytest.mark.parametrize("service", ["reservation", "billing", "bridge", "portal"])
def test_certificates_that_cannot_be_used_are_one_line_and_no_traceback(service: str, tmp_path: Path) -> None:
    (tmp_path / "feed.crt").write_text("nonsense")
    started = subprocess.run(
        [sys.executable, "-m", service, *(["listener"] if service == "billing" else [])],
        env={**os.environ, **_settings(service.upper(), tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert started.returncode == 2
    assert [line for line in started.stderr.splitlines() if not line.startswith("{")] == [
        f"{service}: TLS file {tmp_path / 'feed.key'}: No such file or directory"
    ]


def _settings(prefix: str, folder: Path) -> dict[str, str]:
    """As much as it takes to get to the certificates. Nothing is opened before them."""
    nowhere = "127.0.0.1:1"
    values = {
        "HTTP_PORT": "1", "FEED_PORT": "1", "DATABASE_DSN": f"postgresql://nobody:x@{nowhere}/none",
        "AMQP_URL": f"amqp://nobody:x@{nowhere}/", "ADMIN_KEY": "k" * 32, "HOLD_TOKEN_KEYS": "k" * 32,
        "DATABASE_HOSTS": nowhere, "DATABASE_NAME": "none", "DATABASE_USER": "nobody", "DATABASE_PASSWORD": "x",
        "PROVIDER_URL": f"http://{nowhere}", "PROVIDER_KEY": "k" * 32,
        "BILLING_FEED": nowhere, "BRIDGE_FEED": nowhere, "RESERVATION_FEED": nowhere,
        "FEED_TLS_CERT": f"{folder}/feed.crt", "FEED_TLS_KEY": f"{folder}/feed.key", "FEED_TLS_CA": f"{folder}/ca.crt",
    }  # fmt: skip
    return {f"{prefix}_{name}": value for name, value in values.items()}
