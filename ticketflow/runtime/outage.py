"""What a pool knows of its store being out of reach."""

import asyncio

from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.log import get_logger

log = get_logger("pool")


class Outage:
    """``patience_s``: a shorter outage is waited out; from then on waiting makes no sense."""

    def __init__(self, name: str, patience_s: float) -> None:
        self._name = name
        self._patience_s = patience_s
        self._since: float | None = None
        self.fault: Unavailable | None = None  # of the last attempt, while it lasts

    @property
    def on(self) -> bool:
        return self._since is not None

    @property
    def long(self) -> bool:
        return self._since is not None and asyncio.get_running_loop().time() - self._since >= self._patience_s

    def failed(self, fault: Unavailable) -> None:
        self.fault = fault
        if self._since is None:
            self._since = asyncio.get_running_loop().time()
            log.warning("pool_down", pool=self._name, error=str(fault))

    def over(self) -> None:
        if self._since is not None:
            lasted_s = asyncio.get_running_loop().time() - self._since
            log.info("pool_back", pool=self._name, after_s=round(lasted_s, 3))
        self._since = self.fault = None
