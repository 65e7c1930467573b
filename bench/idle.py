"""What the embedded stack costs when nobody buys: the CPU of all of its processes, beyond what its servers use alone.

Beside the stack the same servers run bare, with an empty database and no client. What they use in the same seconds is
their own affair and is subtracted; everything else is ours: our processes, and what they have the servers do. (The
relays, leases, workers and health checks of a stack that stands by are in it, whatever they ask.)
"""

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from bench.cpu import children, cpu_s, used_s
from bench.goal import Goal, Measured, Round
from bench.ring_stack import RingStack, ring_stack
from bench.run import Run
from stack.stack import Stack

ALLOWED_PERCENT = 3.0
SETTLE_S = 15.0  # what follows a start is over: migrations' checkpoints, relays that look often at first
WINDOW_S = 9.0


class Looks:
    """CPU seconds by program: the stack's, and those of the bare servers, under ``bare <name>``."""

    def __init__(self, stack: RingStack, bare: Mapping[str, int]) -> None:
        self._stack = stack
        self._bare = dict(bare)
        self._supervisor = int((stack.ring.stack.settings.run / "supervisord.pid").read_text())

    def look(self) -> dict[str, float]:
        seen = self._stack.cpu_s()
        # The supervisor's tree is everybody; what is left of it is its own.
        everybody = cpu_s({"all": self._supervisor})["all"]
        return seen | {"supervisor": everybody - sum(seen.values())} | cpu_s(self._bare)


async def measure(run: Run) -> Measured:
    async with AsyncExitStack() as running:
        servers = {"postgres": run.postgres, "mariadb": run.mariadb, "rabbitmq": run.rabbitmq}
        bare = {f"bare {name}": await _started(running, server()) for name, server in servers.items()}
        stack = await running.enter_async_context(ring_stack(run, Stack))
        looks = Looks(stack, bare)
        run.tell(f"it settles for {SETTLE_S:g} s")
        await asyncio.sleep(SETTLE_S)
        windows = [await _window(looks) for _ in range(run.rounds)]
    shares = {name: sum(window[name] for window in windows) / len(windows) for name in windows[0]}
    # Of all windows together: a bare server has its moments, and they are not those of the stack's.
    bare_share = sum(share for name, share in shares.items() if name in bare)
    ours = [sum(share for name, share in window.items() if name not in bare) - bare_share for window in windows]
    for share in ours:
        run.tell(f"{share:.2f} % of a core")
    return Measured(
        [Round(share, ALLOWED_PERCENT) for share in ours],
        {f"{name}_percent": round(share, 2) for name, share in sorted(shares.items(), key=lambda one: -one[1])}
        | {"all_processes_percent": round(sum(share for name, share in shares.items() if name not in bare), 2)},
    )


async def _started(running: AsyncExitStack, server: AbstractAsyncContextManager[object]) -> int:
    """The pid of a server that runs from now on."""
    before = children(os.getpid())
    await running.enter_async_context(server)
    (pid,) = children(os.getpid()) - before
    return pid


async def _window(looks: Looks) -> dict[str, float]:
    """Percent of a core, by program."""
    before, began = looks.look(), time.monotonic()
    await asyncio.sleep(WINDOW_S)
    after, took_s = looks.look(), time.monotonic() - began
    return {name: 100 * used / took_s for name, used in used_s(before, after).items()}


GOALS = (
    Goal(
        "idle",
        "CPU of the embedded stack while nothing is sold, beyond that of bare servers",
        "what is allowed",
        "% of a core",
        "at most",
        1.0,
        measure,
    ),
)
