-- Orders, payments and tickets. All times are UTC by the clock of this database; all money is in minor units.
-- DDL commits by itself here: every statement may be repeated after a crash in the middle of the file.

CREATE TABLE IF NOT EXISTS orders (
    order_id       CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'UUIDv7; the id of the hold it came from.',
    event_id       CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'What the tickets are for.',
    event_name     VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'Its name when the hold was placed.',
    buyer_id       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'Opaque.',
    total_minor    BIGINT NOT NULL COMMENT 'Sum of the lines; what a payment must bring.',
    currency       CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'ISO 4217.',
    state          ENUM ('PENDING', 'CONFIRMED', 'FAILED') NOT NULL DEFAULT 'PENDING' COMMENT 'CONFIRMED and FAILED are final.',
    closing        VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'Why nobody may pay any more; the order fails for it unless a live payment still succeeds.',
    version        BIGINT NOT NULL DEFAULT 0 COMMENT 'Counts the changes. Written by every decision, so that two writers of a Galera cluster collide on this row.',
    placed_at      DATETIME(6) NOT NULL COMMENT 'When the hold was placed, by the clock of reservation.',
    expires_at     DATETIME(6) NOT NULL COMMENT 'No payment starts from here on.',
    created_at     DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the hold arrived.',
    ended_at       DATETIME(6) NULL COMMENT 'When it became CONFIRMED or FAILED.',
    correlation_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'Of the request that placed the hold.',
    PRIMARY KEY (order_id),
    KEY orders_event (event_id, state),
    KEY orders_buyer (buyer_id, order_id),
    CONSTRAINT orders_total CHECK (total_minor >= 0),
    CONSTRAINT orders_ended CHECK ((state = 'PENDING') = (ended_at IS NULL))
) ENGINE = InnoDB COMMENT = 'One order for each hold, from the moment the hold arrives.';

CREATE TABLE IF NOT EXISTS order_lines (
    order_id    CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The order.',
    unit_id     CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'One place: a numbered seat or a general-admission place.',
    position    SMALLINT UNSIGNED NOT NULL COMMENT 'Order of the lines, from 0.',
    tier        VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'Name of the price tier.',
    label       VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'What stands on the ticket.',
    price_minor BIGINT NOT NULL COMMENT 'Price when the hold was placed.',
    PRIMARY KEY (order_id, unit_id),
    CONSTRAINT order_lines_price CHECK (price_minor >= 0),
    CONSTRAINT order_lines_order FOREIGN KEY (order_id) REFERENCES orders (order_id)
) ENGINE = InnoDB COMMENT = 'What is being bought, place by place.';

CREATE TABLE IF NOT EXISTS payments (
    payment_id       CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'UUIDv7; also the reference and the idempotency key at the provider.',
    order_id         CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'What is being paid.',
    state            ENUM ('STARTED', 'AUTHORIZED', 'DECLINED', 'FAILED', 'SETTLED', 'CAPTURED', 'VOIDING', 'VOIDED') NOT NULL COMMENT 'See the table of moves in billing/orders/states.py.',
    amount_minor     BIGINT NOT NULL COMMENT 'The total of the order.',
    currency         CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'ISO 4217.',
    method           VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'card.',
    authorization_id VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL COMMENT 'The provider''s id, once known.',
    reason           VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL COMMENT 'Why it was declined, failed or voided.',
    started_at       DATETIME(6) NOT NULL COMMENT 'When it was begun: before the end of the hold.',
    changed_at       DATETIME(6) NOT NULL COMMENT 'When its state last changed.',
    due_at           DATETIME(6) NULL COMMENT 'When a worker must look at it next; pushed ahead by the worker that takes it. NULL: it waits for somebody else, or is over.',
    attempts         INT NOT NULL DEFAULT 0 COMMENT 'How often workers have tried in this state; makes the next try later.',
    correlation_id   VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'Of the request that began it.',
    traceparent      VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'W3C trace context of that request.',
    live             BOOLEAN AS (CASE WHEN state IN ('DECLINED', 'FAILED', 'VOIDED') THEN NULL ELSE TRUE END) STORED COMMENT 'While money is, or may be, set aside or taken; NULL afterwards.',
    PRIMARY KEY (payment_id),
    UNIQUE KEY payments_one_live (order_id, live),
    KEY payments_order (order_id, started_at),
    KEY payments_due (state, due_at),
    CONSTRAINT payments_amount CHECK (amount_minor >= 0),
    CONSTRAINT payments_captured CHECK (state <> 'CAPTURED' OR authorization_id IS NOT NULL),
    CONSTRAINT payments_of_order FOREIGN KEY (order_id) REFERENCES orders (order_id)
) ENGINE = InnoDB COMMENT = 'Attempts to pay; at most one live one for an order, so never two captured.';

CREATE TABLE IF NOT EXISTS tickets (
    ticket_id  CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'UUIDv7.',
    order_id   CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The order that paid for it.',
    unit_id    CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The place it admits to.',
    event_id   CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The event it admits to.',
    tier       VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'Name of the price tier.',
    label      VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'What stands on it.',
    issued_at  DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When the money was captured.',
    PRIMARY KEY (ticket_id),
    UNIQUE KEY tickets_once (order_id, unit_id),
    KEY tickets_event (event_id, unit_id),
    CONSTRAINT tickets_line FOREIGN KEY (order_id, unit_id) REFERENCES order_lines (order_id, unit_id)
) ENGINE = InnoDB COMMENT = 'One ticket for each line of a confirmed order.';

CREATE TABLE IF NOT EXISTS order_history (
    position   BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Order of writing within one order.',
    order_id   CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The order.',
    at         DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When.',
    code       VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'What happened; the codes stand in billing/orders/rules.py.',
    payment_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'The payment it happened to.',
    reason     VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NULL COMMENT 'Why.',
    PRIMARY KEY (position),
    KEY order_history_order (order_id, position),
    CONSTRAINT order_history_of_order FOREIGN KEY (order_id) REFERENCES orders (order_id)
) ENGINE = InnoDB COMMENT = 'The walk of each order, in the order in which it happened.';

CREATE TABLE IF NOT EXISTS idempotency (
    scope       VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'Whose key it is: two buyers may choose the same one.',
    idem_key    VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The Idempotency-Key of the request.',
    fingerprint BINARY(32) NOT NULL COMMENT 'SHA-256 of method, path and body.',
    payment_id  CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'The payment the request began; NULL when it was refused.',
    status      SMALLINT NULL COMMENT 'HTTP status of the answer; NULL until it is decided.',
    body        BLOB NULL COMMENT 'The answer, as JSON.',
    created_at  DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'Kept for at least a day from here.',
    PRIMARY KEY (scope, idem_key),
    UNIQUE KEY idempotency_payment (payment_id),
    KEY idempotency_created (created_at)
) ENGINE = InnoDB COMMENT = 'Answers to requests that create something, to be given again.';
