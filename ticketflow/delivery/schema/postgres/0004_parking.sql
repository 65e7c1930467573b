-- What people do to parked events, and a row of the receiving end that every such transaction changes.

CREATE TABLE delivery_audit (
    id      bigserial PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor   text NOT NULL,
    action  text NOT NULL,
    subject text NOT NULL,
    detail  text NOT NULL
);

CREATE INDEX delivery_audit_action ON delivery_audit (action);

COMMENT ON TABLE delivery_audit IS 'What people did to the delivery by command, each row in the transaction of the deed. Never purged.';
COMMENT ON COLUMN delivery_audit.id IS 'Order of writing.';
COMMENT ON COLUMN delivery_audit.at IS 'When, by the clock of this database.';
COMMENT ON COLUMN delivery_audit.actor IS 'Who: the user and host of the system, or what --actor said.';
COMMENT ON COLUMN delivery_audit.action IS 'What, such as parked.requeue.';
COMMENT ON COLUMN delivery_audit.subject IS 'To what, such as stream/key/event id.';
COMMENT ON COLUMN delivery_audit.detail IS 'JSON, or text: reason, outcome; of a discarded event its bytes too (base64).';

ALTER TABLE delivery_inbox_stream ADD COLUMN requeues bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN delivery_inbox_stream.requeues IS 'Counts the transactions of requeue and discard; only MariaDB needs it to see two writers collide.';

CREATE INDEX delivery_parked_event ON delivery_parked (event_id);
