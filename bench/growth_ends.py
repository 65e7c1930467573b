"""Both ends of a stream in a process of their own: the relay over Postgres, the feed, and the inbox over MariaDB.

``python -m bench.growth_ends PORT`` with BENCH_POSTGRES and BENCH_MARIADB. The effect of an event is its dedup key.
"""

import os
import sys
from urllib.parse import urlsplit

from bench import process
from ticketflow.delivery import Inbox, MariaDBDialect, PostgresDialect, Relay
from ticketflow.events import Envelope, HoldPlaced
from ticketflow.feed import Address, FeedServer
from ticketflow.runtime.mariadb import Connection as MariaDBConnection
from ticketflow.runtime.mariadb import MariaDBPool
from ticketflow.runtime.postgres import Connection, PostgresPool

STREAM = "reservation"
LOOPBACK = "127.0.0.1"


async def nothing_more(_conn: MariaDBConnection, _envelope: Envelope) -> None:
    """The handler."""


async def main(port: int) -> None:
    sending = PostgresPool(os.environ["BENCH_POSTGRES"], name="sending", size_max=4)
    url = urlsplit(os.environ["BENCH_MARIADB"])
    receiving = MariaDBPool(
        [Address(url.hostname or "", url.port or 0)],
        url.path[1:],
        url.username or "",
        url.password or "",
        name="receiving",
        size_max=4,
    )
    await sending.open()
    await receiving.open()
    inbox: Inbox[MariaDBConnection] = Inbox(
        receiving, MariaDBDialect(), stream=STREAM, handlers={HoldPlaced.kind: nothing_more}
    )
    server = FeedServer(inbox, host=LOOPBACK, port=port)
    await server.start()
    relay: Relay[Connection] = Relay(
        sending, PostgresDialect(), stream=STREAM, addresses=[Address(LOOPBACK, port)], owner="bench"
    )
    await relay.run()


if __name__ == "__main__":
    process.run(main(int(sys.argv[1])))
