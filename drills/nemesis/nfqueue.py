"""One NFQUEUE of the kernel, spoken to in nfnetlink: packets wait in it until somebody says what becomes of them.

Only what a delayer needs: bind, receive (id and the first bytes), accept, drop. Numbers and layouts are those of the
kernel's include/uapi/linux/netfilter/nfnetlink{,_queue}.h; a message's own fields are in network order.
"""

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

NETLINK_NETFILTER = 12
SUBSYSTEM_QUEUE = 3 << 8
PACKET, VERDICT, CONFIG = SUBSYSTEM_QUEUE | 0, SUBSYSTEM_QUEUE | 1, SUBSYSTEM_QUEUE | 2
NLMSG_ERROR = 2
REQUEST, ACK = 1, 4

CONFIG_COMMAND, CONFIG_PARAMETERS, CONFIG_LENGTH_MAX, CONFIG_MASK, CONFIG_FLAGS = 1, 2, 3, 4, 5
COMMAND_BIND = 1
COPY_PACKET = 2
FLAG_GSO = 1 << 2  # as big as the sender made them: the network card's cutting up comes later, and we change nothing
ATTRIBUTE_HEADER, ATTRIBUTE_PAYLOAD = 1, 10
VERDICT_HEADER = 2
DROP, ACCEPT = 0, 1

HEAD_BYTES = 64  # enough for the addresses and ports of a flow
PACKETS_MAX = 16_384  # what waits at most: 0.25 s of 64,000 packets a second; beyond it the kernel drops
RECEIVE_BUFFER_BYTES = 8 << 20
SO_RCVBUFFORCE = 33


class Packet(NamedTuple):
    """``head``: its first bytes, from the IP header on."""

    id: int
    head: bytes


class NfQueue:
    """Queue ``number`` of the network namespace that the process is in. Raises OSError where the kernel refuses."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.bind((0, 0))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        self._configure(_attribute(CONFIG_COMMAND, struct.pack("!BxH", COMMAND_BIND, socket.AF_INET)))
        self._configure(_attribute(CONFIG_PARAMETERS, struct.pack("!IB", HEAD_BYTES, COPY_PACKET)))
        self._configure(_attribute(CONFIG_LENGTH_MAX, struct.pack("!I", PACKETS_MAX)))
        self._configure(
            _attribute(CONFIG_FLAGS, struct.pack("!I", FLAG_GSO)) + _attribute(CONFIG_MASK, struct.pack("!I", FLAG_GSO))
        )

    def receive(self) -> list[Packet]:
        """Those that have come; waits for one at least. Empty when some were lost on the way here."""
        try:
            return list(packets(self.socket.recv(1 << 16)))
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # more than the buffer holds: they were dropped, as a full link would
                raise
            return []

    def accept(self, packet_id: int) -> None:
        self._decide(packet_id, ACCEPT)

    def drop(self, packet_id: int) -> None:
        self._decide(packet_id, DROP)

    def close(self) -> None:
        """The kernel drops what still waits."""
        self.socket.close()

    def _decide(self, packet_id: int, verdict: int) -> None:
        with contextlib.suppress(FileNotFoundError):  # it is gone already: its interface went down
            self.socket.send(
                _message(
                    VERDICT, REQUEST, self._number, _attribute(VERDICT_HEADER, struct.pack("!II", verdict, packet_id))
                )
            )

    def _configure(self, attributes: bytes) -> None:
        self.socket.send(_message(CONFIG, REQUEST | ACK, self._number, attributes))
        code = next(_errors(self.socket.recv(1 << 16)), 0)
        if code:
            raise OSError(code, f"queue {self._number}: the kernel refuses its configuration")


def packets(data: bytes) -> Iterator[Packet]:
    """The packets in a datagram of netlink messages."""
    for kind, body in _messages(data):
        if kind == PACKET:
            attributes = dict(_attributes(body[4:]))  # after the four bytes of nfgenmsg
            (packet_id,) = struct.unpack_from("!I", attributes[ATTRIBUTE_HEADER])
            yield Packet(packet_id, attributes.get(ATTRIBUTE_PAYLOAD, b""))


def _errors(data: bytes) -> Iterator[int]:
    for kind, body in _messages(data):
        if kind == NLMSG_ERROR:
            yield -struct.unpack_from("=i", body)[0]


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, offset)
        yield kind, data[offset + 16 : offset + length]
        offset += _aligned(max(length, 16))


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        yield kind & 0x3FFF, data[offset + 4 : offset + length]  # the two top bits are flags
        offset += _aligned(max(length, 4))


def _message(kind: int, flags: int, queue: int, attributes: bytes) -> bytes:
    body = struct.pack("!BBH", socket.AF_UNSPEC, 0, queue) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(_aligned(length) - length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
