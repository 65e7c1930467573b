"""The kernel's messages about packets that wait."""

import struct

from drills.nemesis.nfqueue import Packet, packets


def attribute(kind: int, value: bytes) -> bytes:
    length = 4 + len(value)
    return struct.pack("=HH", length, kind) + value + bytes(-length % 4)


def message(kind: int, attributes: bytes) -> bytes:
    body = bytes(4) + attributes
    whole = struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body
    return whole + bytes(-len(whole) % 4)


def about(packet_id: int, payload: bytes) -> bytes:
    return message(3 << 8, attribute(1, struct.pack("!IHB", packet_id, 0x0800, 3)) + attribute(10, payload))


def test_several_packets_in_one_datagram() -> None:
    assert list(packets(about(7, b"abcde") + about(8, b""))) == [Packet(7, b"abcde"), Packet(8, b"")]


def test_other_messages_are_none_of_ours() -> None:
    assert list(packets(message(2, b"") + about(9, b"x"))) == [Packet(9, b"x")]


def test_a_message_that_lies_about_its_length_ends_the_reading() -> None:
    assert list(packets(struct.pack("=IHHII", 0, 2, 0, 0, 0))) == []
