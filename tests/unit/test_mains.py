"""`python -m SERVICE` serves, and without settings says in plain lines which are missing."""

import os
import subprocess
import sys

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
