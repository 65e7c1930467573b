"""Decides, in the transaction of a fold, which mails have become due."""

import time
from collections.abc import Callable, Sequence

from portal import store_details
from portal.mail_rules import WORTH_A_LOOK, Mail, wanted
from portal.projection import merge
from portal.sale import Sale
from ticketflow.runtime.postgres import Connection


def now_us() -> int:
    return time.time_ns() // 1000


class Mailing:
    """``clock``: microseconds since the epoch; only the age of news is measured by it."""

    def __init__(self, clock: Callable[[], int] = now_us) -> None:
        self._clock = clock

    async def due(self, conn: Connection, known: Sequence[Sale], new: Sequence[Sale]) -> list[Mail]:
        """What the buyers of these sales, as they are about to be stored, are to be told.

        ``known``: locked; their stored details are read. ``new``: of which nothing is stored.
        """
        worth = [sale for sale in known if sale.state in WORTH_A_LOOK]
        whole = [
            merge(*each) for each in zip(await store_details.added_to(conn, worth, history=False), worth, strict=True)
        ]
        whole += [sale for sale in new if sale.state in WORTH_A_LOOK]
        now = self._clock()
        return [mail for sale in whole for mail in wanted(sale, now)]
