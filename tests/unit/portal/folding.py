"""A sale from events, without a store."""

from portal.projection import merge_all, seen
from portal.sale import Sale
from ticketflow.events import Envelope, payload_of


def view_of(envelope: Envelope) -> Sale:
    payload = payload_of(envelope)
    assert payload is not None
    return seen(envelope, payload)


def folded(*events: Envelope) -> Sale:
    [sale] = merge_all(map(view_of, events)).values()
    return sale
