"""HELLO at the receiving end: whose history this is, and how far we have it. Each step a transaction.

Laws:
- A receiver follows a sender that has forked: what it has beyond the fork is set aside as phantoms, newest first, a
  bounded number in a transaction, each of which lowers the watermark with it; the last one takes on the epoch.
- A phantom's id stays known: its effect was committed here. What to do about it is a person's to decide.
- A watermark that was lowered for a replay goes back up when the sender cannot send what is missing (it has said HELLO
  several times, and nothing came), or is itself behind where we were: it must see how far we really are.
"""

from typing import Generic

from ticketflow.delivery import metrics
from ticketflow.delivery.dialect import ConnT, Dialect, InboxState, Pool
from ticketflow.delivery.dialect_history import Replay
from ticketflow.delivery.forks import History, follows, joined
from ticketflow.feed import Code, Hello, Refusal
from ticketflow.runtime.log import get_logger
from ticketflow.runtime.retry import retrying

PHANTOM_ROWS_MAX = 10_000  # a transaction of some 200 ms; HELLO is decided within 5 s, and goes on at the next one
REPLAY_HELLOS_MAX = 3  # without progress between them

log = get_logger("inbox")


class Greeting(Generic[ConnT]):
    """Decides about HELLO. Nothing here applies events."""

    def __init__(self, pool: Pool[ConnT], dialect: Dialect[ConnT]) -> None:
        self._pool = pool
        self._dialect = dialect

    async def meet(self, hello: Hello) -> InboxState:
        """Where we stand, for WELCOME. Raises Refusal (fenced), Unavailable, Indefinite."""
        while (state := await retrying(lambda: self._step(hello))) is None:
            pass
        return state

    async def _step(self, hello: Hello) -> InboxState | None:
        """None when there are more phantoms to be set aside."""
        dialect, stream = self._dialect, hello.stream
        quarantined: tuple[int, int, int] | None = None  # epoch, after_seq, count
        abandoned: Replay | None = None
        async with self._pool.transaction() as conn:
            await dialect.ensure_inbox(conn, stream, hello.epoch, hello.fence)
            state = await dialect.lock_inbox(conn, stream)
            assert state is not None
            if hello.fence < state.fence:
                raise Refusal(Code.FENCED, f"fence {hello.fence} is older than {state.fence}")
            ours, theirs = await self._histories(conn, hello, state)
            replay = await dialect.replay(conn, stream)
            keep = follows(ours, max(state.watermark, replay.resume_seq), theirs)
            done = True
            if keep is not None:
                floor = max(keep, await dialect.top_seq(conn, stream) - PHANTOM_ROWS_MAX)
                count = await dialect.quarantine(conn, stream, state.epoch, floor)
                quarantined = (state.epoch, floor, count)
                done = floor == keep
                if done:
                    await dialect.follow(conn, stream, hello.epoch, hello.fence, joined(ours, theirs))
                    state = InboxState(hello.epoch, min(state.watermark, keep), hello.fence)
            else:
                if hello.fence != state.fence:
                    await dialect.adopt_sender(conn, stream, state.epoch, hello.fence)
                    state = state._replace(fence=hello.fence)
                if replay.resume_seq > state.watermark and await self._abandons(conn, hello, state, replay):
                    abandoned = replay
                    state = state._replace(watermark=replay.resume_seq)
        self._tell(hello, quarantined, abandoned)
        return state if done else None

    async def _histories(self, conn: ConnT, hello: Hello, state: InboxState) -> tuple[History, History]:
        forks = await self._dialect.inbox_forks(conn, hello.stream) if hello.epoch != state.epoch else []
        return History(state.epoch, tuple(forks)), History(hello.epoch, hello.forks)

    async def _abandons(self, conn: ConnT, hello: Hello, state: InboxState, replay: Replay) -> bool:
        """Whether the replay under way is given up, which is written then. Else one more try is noted."""
        tries = replay.tries + 1 if replay.stuck_seq == state.watermark else 1
        behind = hello.epoch != state.epoch or hello.last_seq < replay.resume_seq
        if not behind and tries <= REPLAY_HELLOS_MAX:
            await self._dialect.set_replay(conn, hello.stream, Replay(replay.resume_seq, state.watermark, tries))
            return False
        await self._dialect.advance_inbox(conn, hello.stream, state.watermark, replay.resume_seq)
        return True

    def _tell(self, hello: Hello, quarantined: tuple[int, int, int] | None, abandoned: Replay | None) -> None:
        stream = hello.stream
        if quarantined is not None:
            epoch, after_seq, count = quarantined
            metrics.PHANTOMS.labels(stream).inc(count)
            level = log.error if count else log.info
            level(
                "phantoms_quarantined",
                stream=stream,
                epoch=epoch,
                after_seq=after_seq,
                count=count,
                sender_epoch=hello.epoch,
                sender_last_seq=hello.last_seq,
            )
        if abandoned is not None:
            log.warning("replay_abandoned", stream=stream, watermark=abandoned.resume_seq, last_seq=hello.last_seq)
