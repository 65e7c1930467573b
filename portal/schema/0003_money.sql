-- Other places, void tickets, refunds; buyers' addresses and the mails that tell them.

ALTER TABLE sales
    DROP CONSTRAINT sales_state_check,
    ADD CONSTRAINT sales_state_check
        CHECK (state IN ('PENDING', 'PAYING', 'FAILED', 'CONFIRMED', 'PARTIALLY_REFUNDED', 'REFUNDED')),
    ADD COLUMN authorized_at  timestamptz,
    ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN held           jsonb,
    ADD COLUMN moved_to       jsonb;

COMMENT ON COLUMN sales.state IS 'Only rises: PENDING, PAYING, FAILED, CONFIRMED, PARTIALLY_REFUNDED, REFUNDED.';
COMMENT ON COLUMN sales.authorized_at IS 'When money was first set aside for it.';
COMMENT ON COLUMN sales.refunded_minor IS 'What has gone back in all, in minor units.';
COMMENT ON COLUMN sales.held IS 'The places as chosen: a list of [label, tier, unit_id], in that order; NULL until known, and for sales from before this column.';
COMMENT ON COLUMN sales.moved_to IS 'The places it has instead, the money having come late; NULL for nearly all.';

-- What is under way while this version begins; of ended sales nobody asks.
UPDATE sales SET authorized_at = known.at
FROM (SELECT order_id, min(at) AS at FROM sale_history JOIN sales USING (order_id)
      WHERE state = 'PAYING' AND code = 'payment.authorized' GROUP BY order_id) AS known
WHERE sales.order_id = known.order_id;

CREATE INDEX sales_event ON sales (event_id, order_id); -- audits go through an event's sales page by page

CREATE TABLE sale_refunds (
    refund_id     uuid PRIMARY KEY,
    order_id      uuid NOT NULL REFERENCES sales,
    requested_at  timestamptz,
    done_at       timestamptz,
    amount_minor  bigint,
    credits_minor bigint,
    reason        text
);

CREATE INDEX sale_refunds_order ON sale_refunds (order_id);

COMMENT ON TABLE sale_refunds IS 'Money that goes back, joined from the events seen of it; columns are NULL until the event that says them has come.';
COMMENT ON COLUMN sale_refunds.refund_id IS 'The refund''s id, given by billing.';
COMMENT ON COLUMN sale_refunds.order_id IS 'The sale.';
COMMENT ON COLUMN sale_refunds.requested_at IS 'When its tickets were made void, by billing''s clock.';
COMMENT ON COLUMN sale_refunds.done_at IS 'When the money had gone back, by billing''s clock.';
COMMENT ON COLUMN sale_refunds.amount_minor IS 'How much, in minor units.';
COMMENT ON COLUMN sale_refunds.credits_minor IS 'How much of it as credits.';
COMMENT ON COLUMN sale_refunds.reason IS 'In the words of whoever decided it.';

CREATE TABLE sale_voided (
    ticket_id uuid PRIMARY KEY,
    order_id  uuid NOT NULL REFERENCES sales,
    refund_id uuid NOT NULL
);

CREATE INDEX sale_voided_order ON sale_voided (order_id);

COMMENT ON TABLE sale_voided IS 'Tickets that admit nobody any more. A row may be here before its ticket is in sale_tickets, and never goes.';
COMMENT ON COLUMN sale_voided.ticket_id IS 'The ticket.';
COMMENT ON COLUMN sale_voided.order_id IS 'The sale.';
COMMENT ON COLUMN sale_voided.refund_id IS 'What made it void.';

CREATE TABLE contacts (
    buyer_id   text PRIMARY KEY,
    email      text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE contacts IS 'Where mail to a buyer goes.';
COMMENT ON COLUMN contacts.buyer_id IS 'Opaque name of the buyer.';
COMMENT ON COLUMN contacts.email IS 'As the buyer gave it.';
COMMENT ON COLUMN contacts.changed_at IS 'When, by the clock of this database.';

CREATE TABLE mails (
    mail_id    uuid PRIMARY KEY,
    order_id   uuid NOT NULL REFERENCES sales,
    kind       text NOT NULL CHECK (kind IN ('confirmed', 'failed', 'voided', 'refunded')),
    about      uuid NOT NULL,
    buyer_id   text NOT NULL,
    state      text NOT NULL DEFAULT 'DUE' CHECK (state IN ('DUE', 'SENT', 'FAILED', 'NO_ADDRESS', 'OVERTAKEN')),
    attempts   integer NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    detail     text,
    UNIQUE (order_id, kind, about)
);

CREATE INDEX mails_due ON mails (due_at) WHERE state = 'DUE';
CREATE INDEX mails_buyer ON mails (buyer_id) WHERE state IN ('DUE', 'NO_ADDRESS');

COMMENT ON TABLE mails IS 'What buyers are told by mail; written in the transaction that made it worth a mail.';
COMMENT ON COLUMN mails.mail_id IS 'Made from order, kind and subject, so that it is the same after a restore; it becomes the Message-ID.';
COMMENT ON COLUMN mails.order_id IS 'The sale.';
COMMENT ON COLUMN mails.kind IS 'What it says.';
COMMENT ON COLUMN mails.about IS 'The refund it is about, else the sale.';
COMMENT ON COLUMN mails.buyer_id IS 'Whom it is for; the address is looked up when it is sent.';
COMMENT ON COLUMN mails.state IS 'DUE until it is over. NO_ADDRESS: the buyer had none then. OVERTAKEN: not sent, a later mail says more.';
COMMENT ON COLUMN mails.attempts IS 'How often it was taken to be sent.';
COMMENT ON COLUMN mails.due_at IS 'When a worker may take it; pushed ahead by the one that does.';
COMMENT ON COLUMN mails.created_at IS 'When it was decided, by the clock of this database.';
COMMENT ON COLUMN mails.changed_at IS 'When its state last changed.';
COMMENT ON COLUMN mails.detail IS 'What the mail server said last against it.';
