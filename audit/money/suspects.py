"""What has been seen once, until it is seen again. Bounded."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from audit.money.sides import Difference

Key = tuple[str, str | None, tuple[tuple[str, str], ...]]


class Suspects:
    """By sale: the keys of the differences that the first look has found."""

    def __init__(self, confirm_s: float) -> None:
        self._confirm_s = confirm_s
        self._keys: dict[str, set[Key]] = {}
        self._last_at = 0.0

    def __len__(self) -> int:
        return len(self._keys)

    def note(self, differences: Iterable[Difference]) -> None:
        for one in differences:
            if one.order_id is not None:
                self._keys.setdefault(one.order_id, set()).add(one.key)
                self._last_at = asyncio.get_running_loop().time()

    async def confirmed(self, look: Callable[[list[str]], Awaitable[list[Difference]]]) -> list[Difference]:
        """Those that a second look, ``confirm_s`` later, finds again. Afterwards there are no suspects."""
        if not self._keys:
            return []
        keys, self._keys = self._keys, {}
        await until(self._last_at + self._confirm_s)
        return [one for one in await look(sorted(keys)) if one.key in keys.get(one.order_id or "", ())]


async def twice(look: Callable[[], Awaitable[list[Difference]]], confirm_s: float) -> list[Difference]:
    """What both looks find of what belongs to no sale."""
    first = {one.key for one in await look()}
    if not first:
        return []
    await asyncio.sleep(confirm_s)
    return [one for one in await look() if one.key in first]


async def until(at: float) -> None:
    left_s = at - asyncio.get_running_loop().time()
    if left_s > 0:
        await asyncio.sleep(left_s)
