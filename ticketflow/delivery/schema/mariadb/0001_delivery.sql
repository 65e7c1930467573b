-- Outbox, inbox and lease of the delivery contract. The same tables, under the same names, stand in Postgres.
-- DDL commits by itself here: every statement may be repeated after a crash in the middle of the file.

CREATE TABLE IF NOT EXISTS delivery_outbox (
    position   BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Order of staging. Commits out of order: nothing may use it as a cursor.',
    event_id   CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The dedup key (UUIDv7).',
    stream     VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'Which stream carries the event.',
    event_key  VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'The aggregate whose events keep their order.',
    kind       VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'The kind of the event, for people who look.',
    body       MEDIUMBLOB NOT NULL COMMENT 'The encoded envelope (msgpack), as it goes over the wire.',
    created_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When it was staged, UTC, by the clock of this database.',
    seq        BIGINT NULL COMMENT 'Gapless position in the stream, stamped by the relay on committed rows; NULL until then.',
    PRIMARY KEY (position),
    UNIQUE KEY delivery_outbox_event (event_id),
    UNIQUE KEY delivery_outbox_seq (stream, seq),
    KEY delivery_outbox_unstamped (stream, seq, position)
) ENGINE = InnoDB COMMENT = 'Events staged in the transaction of the state change; kept after the ack for the retention time, so that the relay can rewind.';

CREATE TABLE IF NOT EXISTS delivery_stream (
    stream    VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'Name of the stream.',
    epoch     BIGINT NOT NULL COMMENT 'Changes when the history of the sender may have forked; made from the clock when the row is made.',
    last_seq  BIGINT NOT NULL DEFAULT 0 COMMENT 'The last seq given to an event.',
    acked_seq BIGINT NOT NULL DEFAULT 0 COMMENT 'The watermark the receiver last acknowledged; goes back when the receiver has lost history.',
    PRIMARY KEY (stream),
    CONSTRAINT delivery_stream_acked CHECK (0 <= acked_seq AND acked_seq <= last_seq)
) ENGINE = InnoDB COMMENT = 'The sending end of each stream.';

CREATE TABLE IF NOT EXISTS delivery_lease (
    name       VARCHAR(96) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The job, such as relay:reservation.',
    owner      VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'The instance that holds it, or held it last.',
    token      BIGINT NOT NULL COMMENT 'Fencing token: grows with every acquisition, never goes back.',
    uses       BIGINT NOT NULL DEFAULT 0 COMMENT 'Counts the writes made under the lease, so that two writers of a Galera cluster collide on this row.',
    expires_at DATETIME(6) NOT NULL COMMENT 'Until when the right stands, UTC, by the clock of this database.',
    PRIMARY KEY (name)
) ENGINE = InnoDB COMMENT = 'Timed rights to run a job, one at a time.';

CREATE TABLE IF NOT EXISTS delivery_inbox (
    event_id    CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The event that has been applied, parked or ignored.',
    stream      VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The stream, or other source, it came by.',
    seq         BIGINT NULL COMMENT 'Its position in the stream; NULL when the source has none.',
    received_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When it was recorded, UTC, by the clock of this database.',
    PRIMARY KEY (event_id),
    KEY delivery_inbox_received (received_at)
) ENGINE = InnoDB COMMENT = 'Dedup keys, recorded in the transaction of the effect.';

CREATE TABLE IF NOT EXISTS delivery_inbox_stream (
    stream    VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'Name of the stream.',
    epoch     BIGINT NOT NULL COMMENT 'The epoch the watermark belongs to.',
    watermark BIGINT NOT NULL DEFAULT 0 COMMENT 'The last seq applied without a gap, saved with the effect.',
    fence     BIGINT NOT NULL COMMENT 'The highest fencing token seen; a sender with an older one is refused.',
    PRIMARY KEY (stream)
) ENGINE = InnoDB COMMENT = 'The receiving end of each stream.';

CREATE TABLE IF NOT EXISTS delivery_parked (
    position  BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Order of parking.',
    stream    VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The stream it came by.',
    epoch     BIGINT NOT NULL COMMENT 'The epoch of its seq.',
    seq       BIGINT NOT NULL COMMENT 'Its position in the stream.',
    event_id  CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'Its dedup key; NULL when the body is no event.',
    event_key VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'The aggregate; empty when the body is no event.',
    kind      VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'Its kind; empty when the body is no event.',
    body      MEDIUMBLOB NOT NULL COMMENT 'The bytes as received.',
    reason    ENUM ('poison', 'undecodable', 'failed', 'behind') NOT NULL COMMENT 'poison: its effect says never; undecodable: no event; failed: its effect raised, each time; behind: waits for an earlier one of its key.',
    detail    TEXT CHARACTER SET utf8mb4 NOT NULL COMMENT 'The error, for people.',
    attempts  INT NOT NULL COMMENT 'How often its effect was tried.',
    parked_at DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When it was parked, UTC, by the clock of this database.',
    PRIMARY KEY (position),
    KEY delivery_parked_key (stream, event_key)
) ENGINE = InnoDB COMMENT = 'Events whose effect cannot be applied, and the later events of the same key, which wait behind them.';
