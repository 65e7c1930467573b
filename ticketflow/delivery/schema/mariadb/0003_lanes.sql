-- A stream may be split into lanes: see ticketflow/delivery/lanes.py. The same names stand in Postgres.
-- One lane, which is what everybody has until `lanes set`, needs nothing of this.
-- DDL commits by itself here: every statement may be repeated after a crash in the middle of the file.

ALTER TABLE delivery_stream
    ADD COLUMN IF NOT EXISTS lanes SMALLINT NOT NULL DEFAULT 1 COMMENT 'How many lanes the family has now; alike in all of its rows, which change together.',
    ADD COLUMN IF NOT EXISTS barrier_seq BIGINT NOT NULL DEFAULT 0 COMMENT 'Where the newest barrier of this lane stands; 0 for none.',
    ADD COLUMN IF NOT EXISTS barrier_due TEXT CHARACTER SET utf8mb4 NOT NULL DEFAULT '' COMMENT 'JSON: what the barrier requires that its relay has to stamp before anything else; empty for none.';

-- First the column, at once whatever the table's size; then its default, which fills it for versions without lanes too;
-- then what was staged before and has no seq yet. Rows that have one never need it.
ALTER TABLE delivery_outbox
    ADD COLUMN IF NOT EXISTS slot TINYINT UNSIGNED NULL COMMENT 'Which of 64 slots its key belongs to; a slot is carried by one lane at a time.';

ALTER TABLE delivery_outbox ALTER COLUMN slot SET DEFAULT (CRC32(event_key) & 63);

UPDATE delivery_outbox SET slot = CRC32(event_key) & 63 WHERE seq IS NULL AND slot IS NULL;

-- The same index with the slot at its end: a lane passes over the others' rows without reading them.
ALTER TABLE delivery_outbox
    ADD KEY IF NOT EXISTS delivery_outbox_waiting (stream, seq, position, slot),
    DROP KEY IF EXISTS delivery_outbox_unstamped;

CREATE TABLE IF NOT EXISTS delivery_lane_barrier (
    stream   VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The lane.',
    seq      BIGINT NOT NULL COMMENT 'The seq of the barrier event in it.',
    requires TEXT CHARACTER SET utf8mb4 NOT NULL COMMENT 'JSON: by stream, the seq up to which it must be acknowledged first.',
    PRIMARY KEY (stream, seq)
) ENGINE = InnoDB COMMENT = 'Where a lane waits for the others after the number of lanes was changed; goes when the outbox is purged beyond it.';

CREATE TABLE IF NOT EXISTS delivery_replica (
    stream  VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'The family.',
    owner   VARCHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin NOT NULL COMMENT 'The instance.',
    held    SMALLINT NOT NULL COMMENT 'How many lanes it relays.',
    seen_at DATETIME(6) NOT NULL COMMENT 'When it last said so, UTC, by the clock of this database.',
    PRIMARY KEY (stream, owner)
) ENGINE = InnoDB COMMENT = 'Who could relay a family of several lanes, so that they spread them; nothing depends on it.';
