"""No more than so many a second, also when all come at once."""

import asyncio

from billing.refunds.pacing import Pace


async def test_turns_come_evenly_and_nothing_is_saved_up_in_a_pause() -> None:
    pace, loop = Pace(50), asyncio.get_running_loop()
    for _ in range(2):
        begun_s = loop.time()
        await asyncio.gather(*(pace.turn() for _ in range(10)))
        assert loop.time() - begun_s >= 8.9 * pace.gap_s
        await asyncio.sleep(5 * pace.gap_s)
