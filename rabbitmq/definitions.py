"""RabbitMQ's users and what each may do, as the definitions file that a node loads at each start.

Laws of this file:
- Passwords are in the credentials' folder and leave it only as salted SHA-256.
- The same credentials give the same bytes, on every node and at every start: loading them again changes nothing.
- Permissions are as narrow as the declarations of ``ticketflow.events.topology`` allow, which both services make.
  Declaring a queue with a dead-letter exchange asks for `read` on the queue and `write` on the exchange; binding asks
  for `write` on the queue and `read` on the exchange. So the bridge may read the queue, though it never does.
"""

import base64
import hashlib
import hmac
import json
import sys
from pathlib import Path

CREDENTIALS = Path("/run/credentials")
OURS = r"^(ticketflow\.(events|dead|replay)|portal\.sales(\.dead)?)$"
BRIDGES = r"^(ticketflow\.(events|dead|replay)|portal\.sales(\.dead)?|bridge\.replay\.[0-9a-f]+)$"  # its own queue too
NOT_EVENTS = r"^(ticketflow\.(dead|replay)|portal\.sales(\.dead)?)$"  # the portal publishes requests, and no events

# user: tags, (configure, write, read)
USERS = {
    "admin": ("administrator", (".*", ".*", ".*")),
    "bridge": ("", (BRIDGES, BRIDGES, BRIDGES)),
    "portal": ("", (OURS, NOT_EVENTS, OURS)),
}


def password_hash(password: bytes, salt: bytes) -> str:
    """RabbitMQ's own form: base64 of a four-byte salt and sha256(salt + password)."""
    return base64.b64encode(salt + hashlib.sha256(salt + password).digest()).decode()


def definitions(credentials: Path) -> dict[str, object]:
    """Raises OSError when a file is missing."""
    secret = (credentials / "erlang-cookie").read_bytes().strip()

    def hash_of(user: str) -> str:
        salt = hmac.digest(secret, user.encode(), "sha256")[:4]  # not to be guessed, and the same each time
        return password_hash((credentials / f"{user}-password").read_bytes().strip(), salt)

    return {
        "vhosts": [{"name": "/", "default_queue_type": "quorum", "metadata": {"default_queue_type": "quorum"}}],
        "users": [
            {
                "name": user,
                "password_hash": hash_of(user),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": tags,
            }
            for user, (tags, _) in USERS.items()
        ],
        "permissions": [
            {"user": user, "vhost": "/", "configure": configure, "write": write, "read": read}
            for user, (_, (configure, write, read)) in USERS.items()
        ],
    }


if __name__ == "__main__":
    json.dump(definitions(CREDENTIALS), sys.stdout, indent=1)
