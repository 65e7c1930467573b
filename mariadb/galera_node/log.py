"""One JSON object a line on stderr, as the services do; ``action`` is stable."""

import json
import sys
from datetime import UTC, datetime


def log(node: str, action: str, *, level: str = "info", **fields: object) -> None:
    ts = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    entry = {"ts": ts, "level": level, "service": "mariadb", "instance": node, "action": action}
    print(json.dumps(entry | {name: str(value) for name, value in fields.items()}), file=sys.stderr, flush=True)
