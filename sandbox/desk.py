"""Where every request of every wire is served: faults first, then the accounts, on one thread, in turn.

A *wire* is one provider's way to say things; the accounts behind are the same.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from sandbox.accounts import Accounts, Answer, Refused
from sandbox.faults import Fault, FaultKind, Faults, Operation
from ticketflow.runtime.http import Reply
from ticketflow.runtime.log import get_logger

SLOW_S = 6.0  # longer than any client here waits
SILENCE_S = 60.0  # "never answers": by then every client has gone

CARD_FAULTS: Mapping[str, Fault] = {
    "tok_slow": Fault(operation="authorize", kind="delay", delay_s=SLOW_S),
    "tok_timeout_after_charge": Fault(operation="authorize", kind="timeout_after"),
    "tok_error": Fault(operation="authorize", kind="error"),
}
STATUS: Mapping[FaultKind, int] = {
    "error": 500,
    "error_kept": 500,
    "error_kept_after": 500,
    "error_after": 500,
    "rate_limit": 429,
    "conflict": 409,
    "refuse": 422,
}

T = TypeVar("T")
log = get_logger("provider")


class Wire(Protocol):
    """``keeps_errors``: a refusal, or an error, is kept under the key like any answer."""

    @property
    def name(self) -> str: ...

    @property
    def keeps_errors(self) -> bool: ...

    def failure(self, status: int) -> Answer:
        """A fault's answer. May raise Problem."""
        ...

    def refusal(self, refused: Refused) -> Answer:
        """May raise Problem."""
        ...

    def reply(self, answer: Answer) -> Reply: ...


class Desk:
    """``changed``: called after each change."""

    def __init__(self, accounts: Accounts, changed: Callable[[], None] = lambda: None) -> None:
        self.accounts = accounts
        self.faults = Faults()
        self.changed = changed
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="accounts")

    async def close(self) -> None:
        await self.blocking(self.accounts.close)
        self._thread.shutdown()

    async def blocking(self, call: Callable[[], T]) -> T:
        """Every blocking call of the accounts runs on one thread, in turn; the loop never waits for the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def change(
        self,
        wire: Wire,
        operation: Operation,
        key: str,
        fingerprint: bytes,
        change: Callable[[], Answer],
        *,
        card_token: str | None = None,
    ) -> Reply:
        """``change()`` once a key; keys of one wire are not those of another."""
        full_key = f"{wire.name} {key}" if wire.name else key
        fault = self.faults.strike(operation) or await self._card_fault(card_token, full_key)

        def kept() -> Answer:
            if fault is not None and fault.kind == "error_kept":
                return wire.failure(STATUS["error_kept"])
            try:
                answer = change()
            except Refused as refused:
                if not wire.keeps_errors:
                    raise
                return wire.refusal(refused)
            if fault is not None and fault.kind == "error_kept_after":
                return wire.failure(STATUS["error_kept_after"])
            return answer

        reply = await self._suffering(wire, fault, lambda: self.accounts.once(full_key, fingerprint, kept))
        self.changed()
        return reply

    async def look(self, wire: Wire, step: Callable[[], Answer]) -> Reply:
        """Reading: what is planned for ``fetch`` strikes it."""
        return await self._suffering(wire, self.faults.strike("fetch"), step)

    async def _suffering(self, wire: Wire, fault: Fault | None, step: Callable[[], Answer]) -> Reply:
        """``step``'s answer, after whatever goes wrong on the way to it and back."""
        kind = fault.kind if fault is not None else None
        if fault is not None:
            log.info("fault", operation=fault.operation, kind=kind, wire=wire.name)
        if kind in ("error", "rate_limit", "conflict", "refuse"):
            return wire.reply(wire.failure(STATUS[kind]))
        if kind == "drop":
            raise asyncio.CancelledError  # the server then closes the connection without an answer
        if fault is not None and kind == "delay":
            await asyncio.sleep(fault.delay_s)
        try:
            answer = await self.blocking(step)
        except Refused as refused:
            answer = wire.refusal(refused)
        if kind == "error_after":
            return wire.reply(wire.failure(STATUS[kind]))
        if kind in ("timeout_after", "drop_after"):
            self.changed()
        if kind == "timeout_after":
            await asyncio.sleep(SILENCE_S)
        if kind == "drop_after":
            raise asyncio.CancelledError
        return wire.reply(answer)

    async def _card_fault(self, card_token: str | None, key: str) -> Fault | None:
        """A card that is charged without an answer does it to the first request only: a repeat is answered."""
        fault = CARD_FAULTS.get(card_token or "")
        if fault is None or fault.kind != "timeout_after":
            return fault
        return None if await self.blocking(lambda: self.accounts.knows(key)) else fault
