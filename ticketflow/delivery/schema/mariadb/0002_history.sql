-- Forks, phantoms and holes: what is found when an end of a stream was restored to an older state, or lost rows.
-- The same tables, under the same names, stand in Postgres. Every statement may be repeated (see 0001).

ALTER TABLE delivery_inbox
    ADD COLUMN IF NOT EXISTS event_key VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL DEFAULT '' COMMENT 'The aggregate, for people who look; empty where nobody said.';
CREATE INDEX IF NOT EXISTS delivery_inbox_seq ON delivery_inbox (stream, seq);

CREATE TABLE IF NOT EXISTS delivery_passed (
    stream   VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The stream.',
    seq      BIGINT NOT NULL COMMENT 'The position.',
    event_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'The event that came by it, known from before; NULL: bytes that are no event, which are parked.',
    PRIMARY KEY (stream, seq)
) ENGINE = InnoDB COMMENT = 'Seqs that were received and have no dedup key of their own, so that they are no holes.';

CREATE TABLE IF NOT EXISTS delivery_fork (
    position           BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Order of finding.',
    stream             VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The stream.',
    epoch              BIGINT NOT NULL COMMENT 'The epoch that ended.',
    after_seq          BIGINT NOT NULL COMMENT 'The last seq that this sender still has of it.',
    receiver_watermark BIGINT NULL COMMENT 'How far the receiver had it; NULL when a person forked.',
    found_at           DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When, UTC, by the clock of this database.',
    resolved_at        DATETIME(6) NULL COMMENT 'When a person settled what was lost; NULL until then.',
    note               VARCHAR(2000) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL DEFAULT '' COMMENT 'What that person says about it.',
    PRIMARY KEY (position),
    UNIQUE KEY delivery_fork_epoch (stream, epoch)
) ENGINE = InnoDB COMMENT = 'The epochs of this sender that ended: its history was that of epoch up to and with after_seq. Told in HELLO; never deleted.';

CREATE TABLE IF NOT EXISTS delivery_inbox_fork (
    stream    VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The stream.',
    epoch     BIGINT NOT NULL COMMENT 'An epoch that ended.',
    after_seq BIGINT NOT NULL COMMENT 'After which seq.',
    PRIMARY KEY (stream, epoch)
) ENGINE = InnoDB COMMENT = 'The forks of the sender whose history this receiver follows, as its HELLO told them.';

CREATE TABLE IF NOT EXISTS delivery_phantom (
    position    BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Order of finding.',
    stream      VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The stream it came by.',
    epoch       BIGINT NOT NULL COMMENT 'The epoch it came in.',
    seq         BIGINT NOT NULL COMMENT 'Its position in that epoch.',
    event_id    CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'Its dedup key, which stays in delivery_inbox: should the sender stage it again, it is known.',
    event_key   VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'The aggregate; empty where it was received before this column was.',
    parked      BOOLEAN NOT NULL COMMENT 'Whether it was parked when it was found, and had no effect.',
    received_at DATETIME(6) NOT NULL COMMENT 'When it was received, UTC, by the clock of this database.',
    found_at    DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When it was found to be a phantom.',
    resolved_at DATETIME(6) NULL COMMENT 'When a person settled it, or its sender sent it again; NULL until then.',
    note        VARCHAR(2000) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL DEFAULT '' COMMENT 'What there is to say about it.',
    PRIMARY KEY (position),
    KEY delivery_phantom_event (event_id),
    KEY delivery_phantom_open (resolved_at, stream, epoch)
) ENGINE = InnoDB COMMENT = 'Events that were received and that their sender no longer has: it was restored to before them.';

CREATE TABLE IF NOT EXISTS delivery_hole (
    position    BIGINT NOT NULL AUTO_INCREMENT COMMENT 'Order of finding.',
    side        ENUM ('out', 'in') NOT NULL COMMENT 'out: missing in the outbox of the sender; in: missing in the inbox of the receiver.',
    stream      VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The stream.',
    epoch       BIGINT NOT NULL COMMENT 'The epoch of its seqs.',
    first_seq   BIGINT NOT NULL COMMENT 'The first that is missing.',
    last_seq    BIGINT NOT NULL COMMENT 'The last that is missing.',
    found_at    DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When, UTC, by the clock of this database.',
    filled_at   DATETIME(6) NULL COMMENT 'When it was filled, or the history it was of was left.',
    given_up_at DATETIME(6) NULL COMMENT 'When it was known that a replay does not fill it.',
    resolved_at DATETIME(6) NULL COMMENT 'When a person settled it; NULL until then.',
    note        VARCHAR(2000) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL DEFAULT '' COMMENT 'What there is to say about it.',
    PRIMARY KEY (position),
    KEY delivery_hole_open (side, stream, first_seq)
) ENGINE = InnoDB COMMENT = 'Seqs of which nothing is here although the stream has passed them.';

CREATE TABLE IF NOT EXISTS delivery_check (
    side        ENUM ('out', 'in') NOT NULL COMMENT 'out: the outbox; in: the inbox.',
    stream      VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The stream.',
    checked_seq BIGINT NOT NULL DEFAULT 0 COMMENT 'All up to here has been counted.',
    floor_seq   BIGINT NOT NULL DEFAULT 0 COMMENT 'Nothing up to here is counted: it was purged, or is older than the counting.',
    recount_at  DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6) + INTERVAL 1 DAY) COMMENT 'When counting begins again from the floor.',
    resume_seq  BIGINT NOT NULL DEFAULT 0 COMMENT 'The watermark before it was lowered for a replay; 0 when none is under way.',
    stuck_seq   BIGINT NOT NULL DEFAULT -1 COMMENT 'The watermark at the last HELLO of such a replay.',
    tries       INT NOT NULL DEFAULT 0 COMMENT 'How many HELLOs found it there.',
    PRIMARY KEY (side, stream)
) ENGINE = InnoDB COMMENT = 'How far the seqs of a stream have been counted. Apart from the stream''s own row, which effects wait for.';

-- What was received before was not counted as it is now.
INSERT IGNORE INTO delivery_check (side, stream, checked_seq, floor_seq)
SELECT 'in', stream, watermark, watermark FROM delivery_inbox_stream;
