"""The one loop that repeats a worker's ``run_once() -> count``."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from ticketflow.runtime.errors import Indefinite, Unavailable
from ticketflow.runtime.log import get_logger

# For workers that need nothing but a store: while it is away its pool refuses them at once, so that asking often costs
# nothing, and what they do goes on as soon as it is back.
STORE_BACKOFF_S = (0.05, 0.5)

# For purging: what is over must go some day, and nobody waits for it. Flat out, purgers that had a million rows to
# delete made every sale beside them take five times as long. (5 % is still some thousand rows a second.)
LEISURE = 0.05

log = get_logger("worker")


async def loop(
    name: str,
    run_once: Callable[[], Awaitable[int]],
    *,
    idle_s: float | Callable[[], float],
    wake: asyncio.Event | None = None,
    backoff_s: tuple[float, float] = (0.05, 2.0),
    share_max: float = 1.0,
) -> None:
    """Repeats ``run_once`` for ever: at once while it has done something, else after ``wake`` or ``idle_s``, which a
    worker that knows when there will be something to do says anew each time.

    ``share_max``: the part of the time that it may take, for what nobody waits for. Such a worker pauses after each run
    in proportion to how long it took, and so the longer the busier the store is.
    Unavailable and Indefinite make it back off, with jitter, and are logged once for each change of state. Any other
    exception is a bug: it is logged and passes, so that the service ends and its supervisor starts it afresh.
    """
    pause_s = backoff_s[0]
    failing = False
    while True:
        if wake is not None:
            wake.clear()  # before the work: what wakes us during it must not be lost
        began = asyncio.get_running_loop().time()
        try:
            count = await run_once()
        except (Unavailable, Indefinite) as fault:
            if not failing:
                log.warning("worker_waits", worker=name, error=f"{type(fault).__name__}: {fault}")
            failing = True
            await asyncio.sleep(random.uniform(pause_s / 2, pause_s))  # noqa: S311 - jitter, no secret
            pause_s = min(pause_s * 2, backoff_s[1])
            continue
        except Exception:
            log.exception("worker_failed", worker=name)
            raise
        if failing:
            log.info("worker_goes_on", worker=name)
        failing, pause_s = False, backoff_s[0]
        if count == 0:
            await _idle(wake, idle_s() if callable(idle_s) else idle_s)
        else:
            took_s = asyncio.get_running_loop().time() - began
            await asyncio.sleep(took_s * (1 / share_max - 1))  # 0: others have their turn even when it never waits


async def _idle(wake: asyncio.Event | None, idle_s: float) -> None:
    if wake is None:
        await asyncio.sleep(idle_s)
        return
    try:
        async with asyncio.timeout(idle_s):
            await wake.wait()
    except TimeoutError:
        pass
