-- depends: 0003_exports
-- Credits in payments, pages of the provider's, webhooks, top-ups, refunds and the cancellation of whole events.
-- DDL commits by itself here: every statement may be repeated after a crash in the middle of the file.

ALTER TABLE orders
    MODIFY state ENUM ('PENDING', 'CONFIRMED', 'FAILED', 'PARTIALLY_REFUNDED', 'REFUNDED') NOT NULL DEFAULT 'PENDING' COMMENT 'PENDING is the only one in which money may still come.',
    ADD COLUMN IF NOT EXISTS refunds_minor BIGINT NOT NULL DEFAULT 0 COMMENT 'Sum of its refunds, those under way too.',
    DROP CONSTRAINT IF EXISTS orders_refunds,
    ADD CONSTRAINT orders_refunds CHECK (refunds_minor BETWEEN 0 AND total_minor);

ALTER TABLE payments
    MODIFY method VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'card, credits, or redirect (a page of the provider''s).',
    ADD COLUMN IF NOT EXISTS credits_minor BIGINT NOT NULL DEFAULT 0 COMMENT 'The part of the amount that is paid by credits, frozen when it was begun.',
    ADD COLUMN IF NOT EXISTS provider VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'sandbox' COMMENT 'Who takes the card''s part: the one that was set up when the payment was begun.',
    ADD COLUMN IF NOT EXISTS redirect_url VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'Where the buyer pays, of a redirect.',
    ADD COLUMN IF NOT EXISTS redirect_until DATETIME(6) NULL COMMENT 'Until when money may still come by that page.',
    DROP CONSTRAINT IF EXISTS payments_credits,
    ADD CONSTRAINT payments_credits CHECK (credits_minor BETWEEN 0 AND amount_minor),
    DROP CONSTRAINT IF EXISTS payments_captured,
    ADD CONSTRAINT payments_captured CHECK (state <> 'CAPTURED' OR authorization_id IS NOT NULL OR credits_minor = amount_minor);

ALTER TABLE tickets
    ADD COLUMN IF NOT EXISTS voided_at DATETIME(6) NULL COMMENT 'Since when it admits nobody; NULL while it is good.',
    ADD COLUMN IF NOT EXISTS refund_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'What voided it: a ticket is refunded once.',
    ADD KEY IF NOT EXISTS tickets_refund (refund_id);

CREATE TABLE IF NOT EXISTS refunds (
    refund_id      CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'UUIDv7; also the idempotency key at the provider, and the id under which the seats go back.',
    order_id       CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The order.',
    payment_id     CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The payment that was captured for it.',
    state          ENUM ('REQUESTED', 'REFUNDED', 'REFUSED') NOT NULL COMMENT 'REFUSED: the provider will not; the money is still owed, a person decides.',
    card_minor     BIGINT NOT NULL COMMENT 'What goes back by way of the provider.',
    credits_minor  BIGINT NOT NULL COMMENT 'What goes back to the buyer''s credits.',
    currency       CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'ISO 4217.',
    reason         VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'As whoever asked for it gave it; the buyer sees it.',
    seats_back     BOOLEAN NOT NULL COMMENT 'Whether the places go on sale again.',
    job_id         CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'The cancellation it belongs to, if to one.',
    requested_at   DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When it was decided; from then on its tickets admit nobody.',
    changed_at     DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When its state last changed.',
    due_at         DATETIME(6) NULL COMMENT 'When a worker must look at it next; NULL: it is over, or waits for a person.',
    attempts       INT NOT NULL DEFAULT 0 COMMENT 'How often workers have tried.',
    detail         VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL COMMENT 'What the provider said last.',
    correlation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'Of the request that asked for it.',
    PRIMARY KEY (refund_id),
    KEY refunds_order (order_id, requested_at),
    KEY refunds_due (state, due_at),
    KEY refunds_job (job_id, state),
    CONSTRAINT refunds_parts CHECK (card_minor >= 0 AND credits_minor >= 0),
    CONSTRAINT refunds_of_order FOREIGN KEY (order_id) REFERENCES orders (order_id),
    CONSTRAINT refunds_of_payment FOREIGN KEY (payment_id) REFERENCES payments (payment_id)
) ENGINE = InnoDB COMMENT = 'Money given back for tickets.';

CREATE TABLE IF NOT EXISTS cancellations (
    job_id       CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'UUIDv7.',
    event_id     CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'All of whose orders are refunded.',
    state        ENUM ('RUNNING', 'PAUSED', 'DONE') NOT NULL DEFAULT 'RUNNING' COMMENT 'DONE: no order of the event has a good ticket, and none can get one any more.',
    running      BOOLEAN AS (CASE WHEN state = 'DONE' THEN NULL ELSE TRUE END) STORED COMMENT 'For the unique key: one at a time for an event.',
    reason       VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'The buyers see it.',
    seats_back   BOOLEAN NOT NULL COMMENT 'Whether the places go on sale again.',
    after_order  CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '' COMMENT 'Orders up to this one have been looked at in this pass.',
    passes       INT NOT NULL DEFAULT 0 COMMENT 'How often it has gone through all orders: those that were still being paid are met in the next pass.',
    pending      BIGINT NOT NULL DEFAULT 0 COMMENT 'Orders in which money may still come, as counted in this pass so far.',
    created_at   DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When it was asked for.',
    changed_at   DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When its state last changed.',
    due_at       DATETIME(6) NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When a worker goes on with it; pushed ahead by the worker that takes it.',
    PRIMARY KEY (job_id),
    UNIQUE KEY cancellations_one (event_id, running),
    KEY cancellations_due (state, due_at)
) ENGINE = InnoDB COMMENT = 'Whole events whose buyers get their money back, order by order.';

CREATE TABLE IF NOT EXISTS webhooks (
    webhook_id        CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'UUIDv7, ours.',
    provider          VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'Which provider sent it.',
    provider_event_id VARCHAR(191) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'The provider''s id of what it tells; the SHA-256 of the body for what we do not understand.',
    kind              VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'The provider''s word.',
    reference         VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL COMMENT 'Our id, if it names one: of a payment or a top-up.',
    authorization_id  VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL COMMENT 'The provider''s id of the payment, if it names one.',
    headers           TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'As received, JSON; no credentials.',
    body              MEDIUMBLOB NOT NULL COMMENT 'As received, byte for byte.',
    state             ENUM ('RECEIVED', 'APPLIED', 'UNMATCHED', 'IGNORED') NOT NULL COMMENT 'UNMATCHED: it names nothing of ours yet, and is tried again. IGNORED: signed well, of no meaning to us.',
    received_at       DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'Before it was answered.',
    repeats           INT NOT NULL DEFAULT 0 COMMENT 'How often it came again.',
    changed_at        DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When its state last changed.',
    due_at            DATETIME(6) NULL COMMENT 'When a worker must look at it next; NULL: it is over, or given up.',
    attempts          INT NOT NULL DEFAULT 0 COMMENT 'How often workers have tried.',
    detail            VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL COMMENT 'Why it is not applied.',
    PRIMARY KEY (webhook_id),
    UNIQUE KEY webhooks_once (provider, provider_event_id),
    KEY webhooks_due (state, due_at),
    KEY webhooks_reference (reference),
    KEY webhooks_authorization (authorization_id),
    KEY webhooks_received (received_at)
) ENGINE = InnoDB COMMENT = 'What providers told us, stored before it was answered.';

CREATE TABLE IF NOT EXISTS topups (
    topup_id         CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'UUIDv7; also our reference at the provider.',
    buyer_id         VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'Whose credits.',
    state            ENUM ('STARTED', 'CREDITED', 'RETURNING', 'RETURNED', 'FAILED') NOT NULL COMMENT 'CREDITED by a verified webhook only. RETURNING, RETURNED: the money was there and could not be credited. FAILED: it never came.',
    amount_minor     BIGINT NOT NULL COMMENT 'What is bought.',
    currency         CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'ISO 4217.',
    provider         VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'Who takes the money.',
    authorization_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL COMMENT 'The provider''s id, once known.',
    redirect_url     VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'Where the buyer pays.',
    redirect_until   DATETIME(6) NULL COMMENT 'Until when money may still come.',
    reason           VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL COMMENT 'Why it was returned or failed.',
    created_at       DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When it was begun.',
    changed_at       DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When its state last changed.',
    due_at           DATETIME(6) NULL COMMENT 'When a worker must look at it next.',
    attempts         INT NOT NULL DEFAULT 0 COMMENT 'How often workers have tried.',
    correlation_id   VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'Of the request that began it.',
    PRIMARY KEY (topup_id),
    KEY topups_buyer (buyer_id, topup_id),
    KEY topups_due (state, due_at),
    CONSTRAINT topups_amount CHECK (amount_minor > 0)
) ENGINE = InnoDB COMMENT = 'Credits that are being bought.';
