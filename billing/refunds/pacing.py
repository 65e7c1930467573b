"""No more than so many calls a second, evenly: for those at the other end, who answer too many of them with 429."""

import asyncio


class Pace:
    """``turn()`` returns ``per_s`` times a second at most, first come first served; nothing is saved up in a pause."""

    def __init__(self, per_s: int) -> None:
        self.gap_s = 1 / per_s
        self._next_s = 0.0

    async def turn(self) -> None:
        now_s = asyncio.get_running_loop().time()
        at_s = max(now_s, self._next_s)
        self._next_s = at_s + self.gap_s
        await asyncio.sleep(at_s - now_s)
