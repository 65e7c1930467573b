"""Whether this process is ready to serve: named checks, each with a deadline, asked together."""

import asyncio
import time
from collections.abc import Awaitable, Callable

CHECK_TIMEOUT_S = 2.5
CACHED_S = 0.25  # many probes at once ask the stores only once

Check = Callable[[], Awaitable[object]]


class Health:
    """A check says no by raising; its message is what /readyz shows."""

    def __init__(self) -> None:
        self.draining = False
        self._checks: dict[str, Check] = {}
        self._asking: asyncio.Task[dict[str, str]] | None = None
        self._answered_at = float("-inf")
        self._answer: dict[str, str] = {}

    def add(self, name: str, check: Check) -> None:
        """``check`` is called for each /readyz; raises ValueError when the name is taken."""
        if name in self._checks:
            raise ValueError(f"a health check named {name!r} exists already")
        self._checks[name] = check

    async def failures(self) -> dict[str, str]:
        """The names of what is not ready, with the reason; empty when all is well."""
        if self.draining:
            return {"draining": "the process is stopping"}
        if time.monotonic() - self._answered_at < CACHED_S:
            return self._answer
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all(), name="readiness")
        return await asyncio.shield(self._asking)

    async def _ask_all(self) -> dict[str, str]:
        reasons = await asyncio.gather(*(self._ask(check) for check in self._checks.values()))
        self._answer = {name: reason for name, reason in zip(self._checks, reasons, strict=True) if reason}
        self._answered_at = time.monotonic()
        return self._answer

    async def _ask(self, check: Check) -> str:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await check()
        except TimeoutError:
            return "no answer in time"
        except Exception as error:
            return str(error) or type(error).__name__
        return ""
