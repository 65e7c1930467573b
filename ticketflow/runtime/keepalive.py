"""Sockets whose peer may vanish without a word: the kernel finds out within about 11 s."""

import socket
from contextlib import suppress

IDLE_S, INTERVAL_S, PROBES = 5, 2, 3
USER_TIMEOUT_MS = 8000  # sent and not acknowledged for so long: dead


def watch_peer(sock: socket.socket) -> None:
    """Sets TCP keepalive and TCP_USER_TIMEOUT; a socket that has none of it (a Unix socket) stays as it is."""
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTERVAL_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
