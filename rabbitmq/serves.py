"""serves.py NODE [PORT]: exits with 0 when that node takes clients by TLS: it answers AMQP's opening bytes with AMQP.

It shows this node's own certificate, and wants one of our CA that names NODE. For watchdog.sh, which asks seldom: a
start of Python costs 0.1 s of a core.
"""

import socket
import ssl
import sys
from pathlib import Path

CREDENTIALS = Path("/run/credentials")
TIMEOUT_S = 2.0
OPENING = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"  # connection.start


def serves(node: str, port: int, credentials: Path) -> bool:
    try:
        context = ssl.create_default_context(cafile=credentials / "ca.crt")
        context.load_cert_chain(credentials / "tls.crt", credentials / "tls.key")
        with (
            socket.create_connection((node, port), timeout=TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=node) as connection,
        ):
            connection.sendall(OPENING)
            return connection.recv(1) == METHOD_FRAME
    except OSError:  # of TLS too
        return False


if __name__ == "__main__":
    sys.exit(0 if serves(sys.argv[1], int((*sys.argv, "5671")[2]), CREDENTIALS) else 1)
