"""Waiting until the cluster is whole, and until nothing is under way any more."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

import aiohttp

from drills.audit import Audit
from drills.cluster import Cluster, Container
from drills.errors import DockerFailed, NotSteady
from drills.observation import WHOLE, missing, waiting

LOOK_S = 1.0
FRONT_S = 2.0
SEEN_AFTER_S = 2.5  # the slowest look of the watch repeats after 2 s: an older one may show what was before
SAID_MAX = 8
# Answered by reservation and by the portal, through the front. (Billing has nothing to read without an order's token.)
FRONT_PATHS = ("/api/v1/events?limit=1", "/api/v1/sales?buyer_id=nobody")


class Steadiness:
    """``whole``: how many members of each tier there are when all are in. ``tell``: what is missing, at each look."""

    def __init__(
        self,
        cluster: Cluster,
        audit: Audit,
        front: str,
        *,
        whole: Mapping[str, int] = WHOLE,
        tell: Callable[[list[str]], None] = lambda _: None,
    ) -> None:
        self._cluster = cluster
        self._audit = audit
        self._front = front
        self._whole = whole
        self._tell = tell
        self._kept_running: list[str] = []

    async def healthy(self, timeout_s: float) -> None:
        """Every container healthy, every member in its tier, the front answering. Raises NotSteady."""
        await self._until(self._absent, timeout_s)

    async def steady(self, timeout_s: float) -> None:
        """Healthy, and nothing under way. Raises NotSteady."""

        async def problems(asked_s: float) -> list[str]:
            return await self._absent(asked_s) or await self._under_way(asked_s)

        await self._until(problems, timeout_s)

    async def drained(self, timeout_s: float) -> None:
        """Nothing under way: backlogs and queues empty, every sale of the event decided. Raises NotSteady."""
        await self._until(self._under_way, timeout_s)

    async def _until(self, problems_at: Callable[[float], Awaitable[list[str]]], timeout_s: float) -> None:
        asked_s, deadline = time.time(), time.monotonic() + timeout_s
        while problems := await problems_at(asked_s):
            self._tell(problems)
            if time.monotonic() > deadline:
                raise NotSteady(f"after {timeout_s:g} s: {'; '.join(problems[:SAID_MAX])}")
            await asyncio.sleep(LOOK_S)

    async def _absent(self, asked_s: float) -> list[str]:
        """What was seen since ``asked_s`` (Unix) counts: what went away just before may still be shown as present."""
        try:
            self._kept_running = self._kept_running or await self._cluster.services()
            found = await self._cluster.containers()
        except DockerFailed as error:
            return [str(error)]
        problems = unwell(found, self._kept_running) + missing(self._audit.last, time.time(), self._whole)
        return problems or self._not_looked(asked_s) or await self._front_silent()

    async def _under_way(self, asked_s: float) -> list[str]:
        seen = self._audit.last
        if seen is None:
            return [f"the auditor is not heard: {self._audit.complaint or 'it has said nothing yet'}"]
        unseen = [f"{what} cannot be seen: {why}" for what, why in seen.unseen.items()]
        return unseen + waiting(seen) or self._not_looked(asked_s)

    def _not_looked(self, asked_s: float) -> list[str]:
        seen = self._audit.last
        stale = seen is None or seen.at_s < asked_s + SEEN_AFTER_S
        return ["the watch has to look once more"] if stale else []

    async def _front_silent(self) -> list[str]:
        problems = []
        timeout = aiohttp.ClientTimeout(total=FRONT_S)
        async with aiohttp.ClientSession(self._front, timeout=timeout) as session:
            for path in FRONT_PATHS:
                try:
                    async with session.get(path) as response:
                        if response.status != 200:
                            problems.append(f"GET {path} is answered {response.status}")
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    problems.append(f"GET {path}: {str(error) or 'no answer in time'}")
        return problems


def unwell(found: Mapping[str, Container], kept_running: Iterable[str]) -> list[str]:
    """Containers that should run and do not, or are not healthy (yet)."""
    return [
        str(found[service]) if service in found else f"{service} is gone"
        for service in kept_running
        if service not in found or not found[service].well
    ]
