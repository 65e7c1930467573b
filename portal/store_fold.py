"""The SQL that joins what was said of sales into those that are stored. Nothing here commits.

Laws of this file:
- Those that are known are locked first, in order of id (see store_claim), and the others made after that, in the same
  order; what hangs on the sales comes when all of them stand. So two at once cannot wait for each other.
- What somebody else makes meanwhile is waited for, and is known the second time.
"""

from collections.abc import Iterable, Mapping

from portal import store_details, store_mails
from portal.mailing import Mailing
from portal.projection import merge
from portal.sale import Sale
from portal.store_claim import locked
from portal.store_heads import COLUMNS, ROWS, arrays_of
from portal.store_together import Part, Together
from ticketflow.runtime.postgres import Connection

MADE = f"INSERT INTO sales ({COLUMNS}) SELECT * FROM {ROWS} ON CONFLICT DO NOTHING RETURNING order_id::text"  # noqa: S608 - constants
# The rows are locked, so that none moves.
WRITTEN = f"""UPDATE sales SET state = new.state, buyer_id = new.buyer_id, event_id = new.event_id,
        event_name = new.event_name, currency = new.currency, total_minor = new.total_minor,
        expires_at = new.expires_at, payment_id = new.payment_id, reason = new.reason,
        authorized_at = new.authorized_at, refunded_minor = new.refunded_minor,
        held = new.held, moved_to = new.moved_to, updated_at = new.updated_at
    FROM {ROWS} CROSS JOIN LATERAL (SELECT ctid FROM sales WHERE order_id = new.order_id OFFSET 0) AS found
    WHERE sales.ctid = found.ctid"""  # noqa: S608 - constants


async def fold(
    conn: Connection,
    views: Mapping[str, Sale],
    heads: Iterable[Sale] | None = None,
    *,
    also: Iterable[Part] = (),
    mailing: Mailing | None = None,
) -> list[Sale]:
    """Joins ``views``, by order id, into the stored sales. The sales as they are then, without their stored details.

    ``heads``: those that are known, if they are locked already. ``also`` is written with them.
    """
    left, done, also = sorted(views), list[Sale](), list(also)
    if heads is None:
        heads = await locked(conn, left)
    while left or also:
        known = {head.order_id: merge(head, views[head.order_id]) for head in heads if head.order_id in views}
        new = [views[order_id] for order_id in left if order_id not in known]
        done += known.values()
        together = Together()
        if known:
            together.add("written", WRITTEN, *arrays_of(list(known.values())))
        if new:
            together.add("made", MADE, *arrays_of(new))
            together.add("standing", "SELECT count(*) = $1 AS whole FROM made", len(new))
        else:
            together.add("standing", "SELECT true AS whole")
        store_details.add(together, views.values())
        if mailing is not None:
            store_mails.add(together, await mailing.due(conn, done, new))
        together.parts += also
        rows = await together.send(conn, "SELECT order_id FROM made" if new else "SELECT FROM standing WHERE false")
        made = {row[0] for row in rows}
        done += [sale for sale in new if sale.order_id in made]
        left = [sale.order_id for sale in new if sale.order_id not in made]
        also = []
        if left:
            heads = await locked(conn, left)
    return done
