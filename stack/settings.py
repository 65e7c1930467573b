"""Where this stack lives and which ports it takes: two variables and a folder.

`up` records them in the run folder, so that a later `status` or `stop` finds the stack without being told again.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stack.errors import StackError

ROOT = Path(__file__).resolve().parent.parent
PORT_BASE = 17000
HTTP_PORT = 8083
PORTS_SPAN = 41  # the highest offset in stack/ports.py, and one


@dataclass(frozen=True)
class Settings:
    run: Path
    port_base: int
    http_port: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """From the environment; what it does not say, from the last `up`; else the defaults. Raises StackError."""
    run = Path(environ.get("TICKETFLOW_RUN_DIR") or ROOT / ".run").absolute()
    recorded = _recorded(run)
    base = _port(environ, "TICKETFLOW_PORT_BASE", recorded.get("port_base", PORT_BASE))
    if base + PORTS_SPAN > 65536:
        raise StackError(f"TICKETFLOW_PORT_BASE={base} leaves no room: {PORTS_SPAN} ports from it on must exist")
    return Settings(run, base, _port(environ, "TICKETFLOW_HTTP_PORT", recorded.get("http_port", HTTP_PORT)))


def record(settings: Settings) -> None:
    text = json.dumps({"port_base": settings.port_base, "http_port": settings.http_port})
    _recorded_file(settings.run).write_text(text + "\n")


def _recorded_file(run: Path) -> Path:
    return run / "settings.json"


def _recorded(run: Path) -> dict[str, int]:
    try:
        recorded = json.loads(_recorded_file(run).read_text())
    except (OSError, ValueError):
        return {}
    return recorded if isinstance(recorded, dict) else {}


def _port(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise StackError(f"{name}={text} is no port: give a number from 1 to 65535")
    return int(text)
