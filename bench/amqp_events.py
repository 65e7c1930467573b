"""Events of sales that went well, as billing sends them, and what the bridge writes beside them."""

from bridge.routing import Route, route
from tests.unit.portal.events import SaleEvents
from ticketflow.events import encode
from ticketflow.feed import VERSION, Hello

EVENTS_A_SALE = 4
STREAM, EPOCH = "billing", 1
HELLO = Hello(VERSION, STREAM, EPOCH, 1, 0, "bench")


class Billing:
    """Its outbox: seqs go on from one call to the next."""

    def __init__(self) -> None:
        self.seq = 0
        self.sales: list[str] = []  # order ids

    def sell(self, events: int) -> tuple[int, list[bytes]]:
        """The first seq and the bodies of so many events, which are whole sales."""
        sales = [SaleEvents(f"buyer-{n}") for n in range(events // EVENTS_A_SALE)]
        self.sales += [sale.order_id for sale in sales]
        first = self.seq + 1
        self.seq += events
        return first, [encode(event) for sale in sales for event in sale.sold()]


def routed(first_seq: int, bodies: list[bytes]) -> list[Route]:
    return [route(body, stream=STREAM, epoch=EPOCH, seq=first_seq + n) for n, body in enumerate(bodies)]
