"""The slow link: which packet goes on when."""

from hypothesis import given
from hypothesis import strategies as st

from drills.nemesis.delays import Delays, flow_of

A, B = b"a", b"b"


def test_a_packet_waits_its_delay() -> None:
    delays = Delays(0.2, 0.05, 0, seed=1)
    assert delays.take(1, A, now=10.0)
    assert delays.next_at is not None
    assert 10.15 <= delays.next_at <= 10.25
    assert delays.due(10.149) == []
    assert delays.due(10.251) == [1]
    assert delays.next_at is None


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([A, B])), max_size=60), st.integers())
def test_a_flow_keeps_its_order_and_nothing_is_early_or_lost(arrivals: list[tuple[float, bytes]], seed: int) -> None:
    delays = Delays(0.2, 0.05, 0, seed)
    arrivals.sort(key=lambda arrival: arrival[0])
    for number, (at, flow) in enumerate(arrivals):
        delays.take(number, flow, at)
    gone = delays.all()
    assert sorted(gone) == list(range(len(arrivals)))
    for flow in (A, B):
        own = [number for number in gone if arrivals[number][1] == flow]
        assert own == sorted(own)


def test_the_lost_share_is_lost() -> None:
    delays = Delays(0, 0, 0.1, seed=3)
    lost = sum(not delays.take(number, A, 0) for number in range(10_000))
    assert 900 <= lost <= 1100


def test_the_same_seed_is_the_same_fate() -> None:
    fates = [[Delays(0.2, 0.05, 0.5, seed=9).take(n, A, 0) for n in range(20)] for _ in range(2)]
    assert fates[0] == fates[1]


def test_when_it_ends_everything_goes_on_in_order() -> None:
    delays = Delays(0.2, 0, 0, seed=1)
    for number in range(5):
        delays.take(number, A, number / 100)
    assert delays.all() == [0, 1, 2, 3, 4]


def test_a_flow_is_protocol_addresses_and_ports() -> None:
    def packet(source_port: int, ttl: int) -> bytes:
        header = bytes([0x45, 0, 0, 40, 0, 0, 0, 0, ttl, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2])
        return header + source_port.to_bytes(2, "big") + b"\x24\xb8" + bytes(16)

    assert flow_of(packet(1000, ttl=64)) == flow_of(packet(1000, ttl=3))
    assert flow_of(packet(1000, ttl=64)) != flow_of(packet(1001, ttl=64))
    assert flow_of(b"\x60" + bytes(39)) == b""
