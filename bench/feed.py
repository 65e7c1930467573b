"""The feed against its peers: events of 246 bytes, one connection, a window of 1024, every event acknowledged."""

from contextlib import AbstractAsyncContextManager
from statistics import median

from bench.feed_processes import Pair, node, pair
from bench.feed_servers import certificates, nats_server
from bench.goal import Goal, Measured, Round
from bench.run import Run

ROUNDS_FACTOR = 8  # many short rounds: what disturbs the machine for a second or two spoils some, not the median
PACED_ROUNDS_FACTOR = 4
TLS_PAIRS = 5  # processes made anew: each pair keeps for life what the memory it was given makes of it, some 10 %
OURS = ("feed_ours.sender", "feed_ours.receiver")
BARE = ("feed_bare.sender", "feed_bare.receiver")


def _many(run: Run, factor: int = ROUNDS_FACTOR) -> Run:
    return Run(run.name, run.rounds * factor)


def _grpc(size: int) -> AbstractAsyncContextManager[Pair]:
    return pair("feed_grpc.sender", "feed_grpc.receiver", size=size)


async def against_grpc_each(run: Run) -> Measured:
    async with pair(*OURS) as ours, _grpc(1) as other:
        return Measured(await _many(run).interleaved(ours.per_second, other.per_second))


async def against_grpc_64(run: Run) -> Measured:
    async with pair(*OURS) as ours, _grpc(64) as other:
        return Measured(await _many(run).interleaved(ours.per_second, other.per_second))


async def against_nats(run: Run) -> Measured:
    async with (
        nats_server(run) as url,
        pair(*OURS) as ours,
        pair("feed_nats.sender", "feed_nats.receiver", url=url) as other,
    ):
        return Measured(await _many(run).interleaved(ours.per_second, other.per_second))


async def against_jetstream(run: Run) -> Measured:
    async with nats_server(run) as url, pair(*OURS) as ours, node("feed_jetstream.sender", url=url) as sending:
        return Measured(await _many(run).interleaved(ours.per_second, Pair(sending, None).per_second))


async def p99(run: Run) -> Measured:
    """Between the two the floor, see feed_bare.py: what the machine itself takes to wake two processes."""
    async with pair(*OURS) as ours, _grpc(1) as other, pair(*BARE) as bare:
        floors_ms: list[float] = []

        async def both() -> float:
            floors_ms.append(await bare.p99_ms())
            return await ours.p99_ms()

        rounds = await _many(run, PACED_ROUNDS_FACTOR).interleaved(both, other.p99_ms)
    p50s = {
        f"{name}_p50_ms": median(side.p50s_ms) for name, side in (("ours", ours), ("other", other), ("floor", bare))
    }
    floor_ms = median(floors_ms)
    of = {"floor_p99_ms": floor_ms, "floor_of_other": floor_ms / Measured(rounds).other}
    return Measured(rounds, p50s | of)


async def with_tls(run: Run) -> Measured:
    rounds: list[Round] = []
    with run.folder() as folder:
        tls = certificates(folder)
        for number in range(1, TLS_PAIRS + 1):
            run.tell(f"processes, the {number}. of {TLS_PAIRS} times")
            async with pair(*OURS, tls=tls) as ours, pair(*OURS) as other:
                some = _many(run, ROUNDS_FACTOR // 2)
                rounds += await some.interleaved(ours.per_second, other.per_second)
    return Measured(rounds)


WHAT = "events over one connection, each acknowledged"
PACED = "p99 of an event until its ack, 1,000 a second"
GOALS = (
    Goal(
        "feed-grpc-each", WHAT, "a stream of grpc.aio, an ack a message", "events/s", "at least", 60, against_grpc_each
    ),
    Goal("feed-grpc-64", WHAT, "the same, 64 events a message", "events/s", "at least", 2.5, against_grpc_64),
    Goal("feed-nats", WHAT, "core NATS, acks by the receiver", "events/s", "at least", 3, against_nats),
    Goal(
        "feed-jetstream",
        WHAT,
        "publishing to JetStream, an ack a message",
        "events/s",
        "at least",
        10,
        against_jetstream,
    ),
    Goal("feed-p99", PACED, "a stream of grpc.aio, an ack a message", "ms", "at most", 0.333, p99),
    Goal("feed-tls", f"{WHAT}, with mTLS", "the same without TLS", "events/s", "at least", 0.6, with_tls),
)
