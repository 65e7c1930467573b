-- What people do to parked events, and a row of the receiving end that every such transaction changes.
-- DDL commits by itself here: every statement may be repeated after a crash in the middle of the file.

CREATE TABLE IF NOT EXISTS delivery_audit (
    id      BIGINT NOT NULL AUTO_INCREMENT,
    at      DATETIME(6) NOT NULL DEFAULT (UTC_TIMESTAMP(6)) COMMENT 'When, UTC, by the clock of this database.',
    actor   VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL COMMENT 'Who: the user and host of the system, or what --actor said.',
    action  VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'What, such as parked.requeue.',
    subject VARCHAR(255) CHARACTER SET utf8mb4 NOT NULL COMMENT 'To what, such as stream/key/event id.',
    detail  MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL COMMENT 'JSON, or text: reason, outcome; of a discarded event its bytes too (base64).',
    PRIMARY KEY (id),
    KEY delivery_audit_action (action)
) ENGINE = InnoDB COMMENT = 'What people did to the delivery by command, each row in the transaction of the deed. Never purged.';

ALTER TABLE delivery_inbox_stream ADD COLUMN IF NOT EXISTS requeues BIGINT NOT NULL DEFAULT 0 COMMENT 'Counts the transactions of requeue and discard, so that two writers of a Galera cluster collide on this row.';

CREATE INDEX IF NOT EXISTS delivery_parked_event ON delivery_parked (event_id);
