"""Decides, in the transaction of a fold, which mails have become due."""

import time
from collections.abc import Callable, Sequence

from portal import store_details, store_mails
from portal.mail_rules import WORTH_A_LOOK, wanted
from portal.sale import Sale
from ticketflow.runtime.postgres import Connection


def now_us() -> int:
    return time.time_ns() // 1000


class Mailing:
    """``clock``: microseconds since the epoch; only the age of news is measured by it."""

    def __init__(self, clock: Callable[[], int] = now_us) -> None:
        self._clock = clock

    async def decide(self, conn: Connection, sales: Sequence[Sale]) -> None:
        """``sales``: as they are after the fold, without details."""
        candidates = [sale for sale in sales if sale.state in WORTH_A_LOOK]
        known = await store_details.added_to(conn, candidates, history=False)
        now = self._clock()
        await store_mails.add(conn, [mail for sale in known for mail in wanted(sale, now)])
