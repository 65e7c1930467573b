"""The feed against its peers: events of 246 bytes, one connection, a window of 1024, every event acknowledged."""

from bench.feed_processes import pair
from bench.goal import Goal, Measured
from bench.run import Run

OURS = ("feed_ours.sender", "feed_ours.receiver")
GRPC = ("feed_grpc.sender", "feed_grpc.receiver")


async def _against_grpc(run: Run, size: int) -> Measured:
    async with pair(*OURS) as ours, pair(*GRPC, size=size) as other:
        return Measured(await run.interleaved(ours.per_second, other.per_second))


async def against_grpc_each(run: Run) -> Measured:
    return await _against_grpc(run, 1)


async def against_grpc_64(run: Run) -> Measured:
    return await _against_grpc(run, 64)


WHAT = "events over one connection, each acknowledged"
GOALS = (
    Goal("feed-grpc-each", WHAT, "a stream of grpc.aio, an ack a message", "events/s", "at least", 60, against_grpc_each),
    Goal("feed-grpc-64", WHAT, "a stream of grpc.aio, 64 events a message", "events/s", "at least", 2.5, against_grpc_64),
)
