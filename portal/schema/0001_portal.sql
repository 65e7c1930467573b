-- What a buyer sees of a sale: a fold of events that may come in any order (see portal/projection.py).

CREATE TABLE sales (
    order_id    uuid PRIMARY KEY,
    state       text NOT NULL DEFAULT 'PENDING' CHECK (state IN ('PENDING', 'PAYING', 'FAILED', 'CONFIRMED')),
    buyer_id    text,
    event_id    uuid,
    event_name  text,
    currency    text,
    total_minor bigint,
    expires_at  timestamptz,
    payment_id  uuid,
    reason      text,
    updated_at  timestamptz NOT NULL DEFAULT 'epoch'
) WITH (fillfactor = 70); -- each sale is updated about four times, none of its indexed columns after the first

CREATE INDEX sales_buyer ON sales (buyer_id, order_id DESC);

COMMENT ON TABLE sales IS 'One row a sale, joined from all events seen of it; columns are NULL until the event that says them has come.';
COMMENT ON COLUMN sales.order_id IS 'The order''s and hold''s id (UUIDv7: newer sales sort later).';
COMMENT ON COLUMN sales.state IS 'Only rises: PENDING, PAYING, FAILED, CONFIRMED.';
COMMENT ON COLUMN sales.buyer_id IS 'Opaque name of the buyer.';
COMMENT ON COLUMN sales.event_id IS 'What the tickets are for.';
COMMENT ON COLUMN sales.event_name IS 'Its name when the hold was placed.';
COMMENT ON COLUMN sales.currency IS 'ISO 4217.';
COMMENT ON COLUMN sales.total_minor IS 'Price of all places, in minor units.';
COMMENT ON COLUMN sales.expires_at IS 'Until when a payment may be started, by reservation''s clock.';
COMMENT ON COLUMN sales.payment_id IS 'The payment that confirmed it.';
COMMENT ON COLUMN sales.reason IS 'Why it FAILED.';
COMMENT ON COLUMN sales.updated_at IS 'When the newest event seen of it happened, by the clock of its sender.';

CREATE TABLE sale_tickets (
    ticket_id uuid PRIMARY KEY,
    order_id  uuid NOT NULL REFERENCES sales,
    unit_id   uuid NOT NULL,
    tier      text NOT NULL,
    label     text NOT NULL
);

CREATE INDEX sale_tickets_order ON sale_tickets (order_id);

COMMENT ON TABLE sale_tickets IS 'The tickets of a sale.';
COMMENT ON COLUMN sale_tickets.ticket_id IS 'The ticket''s id, given by billing.';
COMMENT ON COLUMN sale_tickets.order_id IS 'The sale it belongs to.';
COMMENT ON COLUMN sale_tickets.unit_id IS 'The seat or place.';
COMMENT ON COLUMN sale_tickets.tier IS 'Name of its price tier.';
COMMENT ON COLUMN sale_tickets.label IS 'What stands on the ticket.';

CREATE TABLE sale_history (
    event_id uuid PRIMARY KEY,
    order_id uuid NOT NULL REFERENCES sales,
    at       timestamptz NOT NULL,
    code     text NOT NULL,
    reason   text
);

CREATE INDEX sale_history_order ON sale_history (order_id, at);

COMMENT ON TABLE sale_history IS 'What happened to a sale: one row for each event seen of it.';
COMMENT ON COLUMN sale_history.event_id IS 'Id of the event.';
COMMENT ON COLUMN sale_history.order_id IS 'The sale.';
COMMENT ON COLUMN sale_history.at IS 'When it happened, by the clock of its sender.';
COMMENT ON COLUMN sale_history.code IS 'The event''s kind.';
COMMENT ON COLUMN sale_history.reason IS 'Its reason, if its kind has one.';

CREATE TABLE portal_parked (
    body_sha256 bytea PRIMARY KEY,
    event_id    uuid,
    event_key   text NOT NULL,
    kind        text NOT NULL,
    headers     jsonb NOT NULL,
    body        bytea NOT NULL,
    reason      text NOT NULL CHECK (reason IN ('undecodable', 'poison', 'failed')),
    detail      text NOT NULL,
    attempts    integer NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE portal_parked IS 'Messages that could not be applied. Later events of the same sale do not wait behind them: their order does not matter.';
COMMENT ON COLUMN portal_parked.body_sha256 IS 'Of the body: the same message parked again is the same row.';
COMMENT ON COLUMN portal_parked.event_id IS 'Its dedup key; NULL when the body is no event.';
COMMENT ON COLUMN portal_parked.event_key IS 'The sale; empty when the body is no event.';
COMMENT ON COLUMN portal_parked.kind IS 'Its kind, else its routing key.';
COMMENT ON COLUMN portal_parked.headers IS 'The message''s headers: stream, epoch, seq and more.';
COMMENT ON COLUMN portal_parked.body IS 'The bytes as received.';
COMMENT ON COLUMN portal_parked.reason IS 'undecodable: no event, or a payload not of its kind''s shape; poison: its effect says never; failed: its effect raised, each time.';
COMMENT ON COLUMN portal_parked.detail IS 'The error, for people.';
COMMENT ON COLUMN portal_parked.attempts IS 'How often its effect was tried.';
COMMENT ON COLUMN portal_parked.parked_at IS 'When, by the clock of this database.';
