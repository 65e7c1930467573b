"""Every question that the auditor asks the stores: all of them reads. Postgres counts parameters, MariaDB writes %s.

Rows come in the order of the fields of the history's types. Times are seconds since the Unix epoch.
"""

# -- the watch: cheap, asked every second; of one ticketed event where there is one

PLACES = """
    SELECT count(*) FILTER (WHERE state = 'free'), count(*) FILTER (WHERE state = 'held'),
           count(*) FILTER (WHERE state = 'sold')
      FROM units WHERE event_id = $1::uuid"""
UNDECIDED_HOLDS = "SELECT count(*) FROM holds WHERE event_id = $1::uuid AND state = 'HELD'"
UNDECIDED_SALES = "SELECT count(*) FROM sales WHERE event_id = $1::uuid AND state IN ('PENDING', 'PAYING')"
UNDECIDED_ORDERS = "SELECT count(*) FROM orders WHERE event_id = %s AND state = 'PENDING'"
UNDECIDED_PAYMENTS = """
    SELECT count(*) FROM payments JOIN orders USING (order_id)
     WHERE event_id = %s AND payments.state IN ('STARTED', 'AUTHORIZED', 'SETTLED', 'VOIDING')"""

SENDER = """
    SELECT epoch, last_seq, acked_seq,
           last_seq - acked_seq
               + (SELECT count(*) FROM delivery_outbox AS o WHERE o.stream = s.stream AND o.seq IS NULL)
      FROM delivery_stream AS s WHERE s.stream = {}"""
SENDER_POSTGRES, SENDER_MARIADB = SENDER.format("$1"), SENDER.format("%s")
RECEIVER = "SELECT epoch, watermark FROM delivery_inbox_stream WHERE stream = {}"
RECEIVER_POSTGRES, RECEIVER_MARIADB = RECEIVER.format("$1"), RECEIVER.format("%s")
PARKED = "SELECT count(*) FROM delivery_parked"
PARKED_BY_PORTAL = "SELECT count(*) FROM portal_parked"
# The owner of a lease that still stands.
RELAYS_POSTGRES = "SELECT name, owner FROM delivery_lease WHERE name LIKE 'relay:%' AND expires_at > clock_timestamp()"
RELAYS_MARIADB = "SELECT name, owner FROM delivery_lease WHERE name LIKE 'relay:%%' AND expires_at > UTC_TIMESTAMP(6)"

WRITER = "SELECT @@hostname"
GALERA = """
    SHOW GLOBAL STATUS WHERE Variable_name IN
    ('wsrep_cluster_status', 'wsrep_cluster_size', 'wsrep_local_state_comment', 'wsrep_ready')"""

# -- the end: everything of one ticketed event

NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
UNITS = "SELECT unit_id::text, state, hold_id::text FROM units WHERE event_id = $1::uuid ORDER BY unit_id"
HOLDS = """
    SELECT h.hold_id::text, h.buyer_id, h.state,
           ARRAY (SELECT unit_id::text FROM hold_units AS l WHERE l.hold_id = h.hold_id ORDER BY unit_id),
           h.total_minor, h.payment_id::text,
           extract(epoch FROM h.placed_at)::float8, extract(epoch FROM h.held_until)::float8,
           extract(epoch FROM h.ended_at)::float8
      FROM holds AS h WHERE h.event_id = $1::uuid ORDER BY h.hold_id"""
SALES = "SELECT order_id::text, coalesce(buyer_id, ''), state FROM sales WHERE event_id = $1::uuid ORDER BY order_id"
SALE_TICKETS = """
    SELECT order_id::text, ticket_id::text, unit_id::text FROM sale_tickets JOIN sales USING (order_id)
     WHERE event_id = $1::uuid ORDER BY ticket_id"""
ORDERS = """
    SELECT order_id, buyer_id, state, total_minor, timestampdiff(MICROSECOND, '1970-01-01', created_at) / 1e6
      FROM orders WHERE event_id = %s ORDER BY order_id"""
ORDER_LINES = """
    SELECT order_id, unit_id, price_minor FROM order_lines JOIN orders USING (order_id)
     WHERE event_id = %s ORDER BY order_id, unit_id"""
PAYMENTS = """
    SELECT payment_id, order_id, payments.state, amount_minor FROM payments JOIN orders USING (order_id)
     WHERE event_id = %s ORDER BY payment_id"""
TICKETS = """
    SELECT ticket_id, order_id, unit_id, timestampdiff(MICROSECOND, '1970-01-01', issued_at) / 1e6
      FROM tickets WHERE event_id = %s ORDER BY ticket_id"""

STAGED_POSTGRES = """
    SELECT event_id::text, kind, event_key, seq FROM delivery_outbox
     WHERE stream = $1 AND created_at >= to_timestamp($2) ORDER BY position"""
STAGED_MARIADB = """
    SELECT event_id, kind, event_key, seq FROM delivery_outbox
     WHERE stream = %s AND timestampdiff(MICROSECOND, '1970-01-01', created_at) >= %s * 1e6 ORDER BY position"""
RECEIVED_POSTGRES = """
    SELECT event_id::text, seq FROM delivery_inbox
     WHERE stream = $1 AND received_at >= to_timestamp($2) ORDER BY received_at, seq"""
RECEIVED_BY_PORTAL = """
    SELECT event_id::text, i.seq, coalesce(h.code, ''), coalesce(h.order_id::text, '')
      FROM delivery_inbox AS i LEFT JOIN sale_history AS h USING (event_id)
     WHERE i.stream = $1 AND i.received_at >= to_timestamp($2) ORDER BY i.received_at, event_id"""
RECEIVED_MARIADB = """
    SELECT event_id, seq FROM delivery_inbox
     WHERE stream = %s AND timestampdiff(MICROSECOND, '1970-01-01', received_at) >= %s * 1e6
     ORDER BY received_at, seq"""
# Which of these were staged before the drill began.
EARLIER_POSTGRES = """
    SELECT event_id::text FROM delivery_outbox WHERE event_id = ANY ($1::uuid[]) AND created_at < to_timestamp($2)"""
EARLIER_MARIADB = """
    SELECT event_id FROM delivery_outbox
     WHERE event_id IN %s AND timestampdiff(MICROSECOND, '1970-01-01', created_at) < %s * 1e6"""

# -- whether the nodes of Galera have the same rows: a count and a sum of checksums for each table


def _checksum(table: str, columns: str) -> str:
    alike = ", ".join(f"coalesce(convert({column} USING utf8mb4), '')" for column in columns.split(", "))
    return f"SELECT count(*), coalesce(bit_xor(crc32(concat_ws('|', {alike}))), 0) FROM {table}"  # noqa: S608 - ours


SAME_ON_ALL_NODES = {
    table: _checksum(table, columns)
    for table, columns in {
        "orders": "order_id, state, version, closing",
        "order_lines": "order_id, unit_id, price_minor",
        "payments": "payment_id, order_id, state, amount_minor, authorization_id",
        "tickets": "ticket_id, order_id, unit_id",
        "order_history": "position, order_id, code",
        "idempotency": "scope, idem_key, payment_id, status",
        "delivery_outbox": "position, event_id, seq",
        "delivery_stream": "stream, epoch, last_seq, acked_seq",
        "delivery_inbox": "event_id, seq",
        "delivery_inbox_stream": "stream, epoch, watermark",
        "delivery_parked": "position, stream, seq",
        "delivery_audit": "id, action, subject",
    }.items()
}
