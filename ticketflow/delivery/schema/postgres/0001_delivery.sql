-- Outbox, inbox and lease of the delivery contract. The same tables, under the same names, stand in MariaDB.

CREATE TABLE delivery_outbox (
    position   bigserial PRIMARY KEY,
    event_id   uuid NOT NULL UNIQUE,
    stream     text NOT NULL,
    event_key  text NOT NULL,
    kind       text NOT NULL,
    body       bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seq        bigint CHECK (seq > 0)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE UNIQUE INDEX delivery_outbox_seq ON delivery_outbox (stream, seq) WHERE seq IS NOT NULL;
CREATE INDEX delivery_outbox_unstamped ON delivery_outbox (stream, position) WHERE seq IS NULL;

COMMENT ON TABLE delivery_outbox IS 'Events staged in the transaction of the state change; kept after the ack for the retention time, so that the relay can rewind.';
COMMENT ON COLUMN delivery_outbox.position IS 'Order of staging. Commits out of order: nothing may use it as a cursor.';
COMMENT ON COLUMN delivery_outbox.event_id IS 'The dedup key (UUIDv7).';
COMMENT ON COLUMN delivery_outbox.stream IS 'Which stream carries the event.';
COMMENT ON COLUMN delivery_outbox.event_key IS 'The aggregate whose events keep their order.';
COMMENT ON COLUMN delivery_outbox.kind IS 'The kind of the event, for people who look.';
COMMENT ON COLUMN delivery_outbox.body IS 'The encoded envelope (msgpack), as it goes over the wire.';
COMMENT ON COLUMN delivery_outbox.created_at IS 'When it was staged, by the clock of this database.';
COMMENT ON COLUMN delivery_outbox.seq IS 'Gapless position in the stream, stamped by the relay on committed rows; NULL until then.';

CREATE TABLE delivery_stream (
    stream    text PRIMARY KEY,
    epoch     bigint NOT NULL CHECK (epoch > 0),
    last_seq  bigint NOT NULL DEFAULT 0,
    acked_seq bigint NOT NULL DEFAULT 0,
    CHECK (0 <= acked_seq AND acked_seq <= last_seq)
) WITH (fillfactor = 50);

COMMENT ON TABLE delivery_stream IS 'The sending end of each stream.';
COMMENT ON COLUMN delivery_stream.stream IS 'Name of the stream.';
COMMENT ON COLUMN delivery_stream.epoch IS 'Changes when the history of the sender may have forked; made from the clock when the row is made.';
COMMENT ON COLUMN delivery_stream.last_seq IS 'The last seq given to an event.';
COMMENT ON COLUMN delivery_stream.acked_seq IS 'The watermark the receiver last acknowledged; goes back when the receiver has lost history.';

CREATE TABLE delivery_lease (
    name       text PRIMARY KEY,
    owner      text NOT NULL,
    token      bigint NOT NULL,
    uses       bigint NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL
) WITH (fillfactor = 50);

COMMENT ON TABLE delivery_lease IS 'Timed rights to run a job, one at a time.';
COMMENT ON COLUMN delivery_lease.name IS 'The job, such as relay:reservation.';
COMMENT ON COLUMN delivery_lease.owner IS 'The instance that holds it, or held it last.';
COMMENT ON COLUMN delivery_lease.token IS 'Fencing token: grows with every acquisition, never goes back.';
COMMENT ON COLUMN delivery_lease.uses IS 'Counts the writes made under the lease; only MariaDB needs it to see two writers collide.';
COMMENT ON COLUMN delivery_lease.expires_at IS 'Until when the right stands, by the clock of this database.';

CREATE TABLE delivery_inbox (
    event_id    uuid PRIMARY KEY,
    stream      text NOT NULL,
    seq         bigint,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX delivery_inbox_received ON delivery_inbox (received_at);

COMMENT ON TABLE delivery_inbox IS 'Dedup keys, recorded in the transaction of the effect.';
COMMENT ON COLUMN delivery_inbox.event_id IS 'The event that has been applied, parked or ignored.';
COMMENT ON COLUMN delivery_inbox.stream IS 'The stream, or other source, it came by.';
COMMENT ON COLUMN delivery_inbox.seq IS 'Its position in the stream; NULL when the source has none.';
COMMENT ON COLUMN delivery_inbox.received_at IS 'When it was recorded, by the clock of this database.';

CREATE TABLE delivery_inbox_stream (
    stream    text PRIMARY KEY,
    epoch     bigint NOT NULL,
    watermark bigint NOT NULL DEFAULT 0 CHECK (watermark >= 0),
    fence     bigint NOT NULL
) WITH (fillfactor = 50);

COMMENT ON TABLE delivery_inbox_stream IS 'The receiving end of each stream.';
COMMENT ON COLUMN delivery_inbox_stream.stream IS 'Name of the stream.';
COMMENT ON COLUMN delivery_inbox_stream.epoch IS 'The epoch the watermark belongs to.';
COMMENT ON COLUMN delivery_inbox_stream.watermark IS 'The last seq applied without a gap, saved with the effect.';
COMMENT ON COLUMN delivery_inbox_stream.fence IS 'The highest fencing token seen; a sender with an older one is refused.';

CREATE TABLE delivery_parked (
    position  bigserial PRIMARY KEY,
    stream    text NOT NULL,
    epoch     bigint NOT NULL,
    seq       bigint NOT NULL,
    event_id  uuid,
    event_key text NOT NULL,
    kind      text NOT NULL,
    body      bytea NOT NULL,
    reason    text NOT NULL CHECK (reason IN ('poison', 'undecodable', 'failed', 'behind')),
    detail    text NOT NULL,
    attempts  integer NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX delivery_parked_key ON delivery_parked (stream, event_key);

COMMENT ON TABLE delivery_parked IS 'Events whose effect cannot be applied, and the later events of the same key, which wait behind them.';
COMMENT ON COLUMN delivery_parked.position IS 'Order of parking.';
COMMENT ON COLUMN delivery_parked.stream IS 'The stream it came by.';
COMMENT ON COLUMN delivery_parked.epoch IS 'The epoch of its seq.';
COMMENT ON COLUMN delivery_parked.seq IS 'Its position in the stream.';
COMMENT ON COLUMN delivery_parked.event_id IS 'Its dedup key; NULL when the body is no event.';
COMMENT ON COLUMN delivery_parked.event_key IS 'The aggregate; empty when the body is no event.';
COMMENT ON COLUMN delivery_parked.kind IS 'Its kind; empty when the body is no event.';
COMMENT ON COLUMN delivery_parked.body IS 'The bytes as received.';
COMMENT ON COLUMN delivery_parked.reason IS 'poison: its effect says never; undecodable: no event; failed: its effect raised, each time; behind: waits for an earlier one of its key.';
COMMENT ON COLUMN delivery_parked.detail IS 'The error, for people.';
COMMENT ON COLUMN delivery_parked.attempts IS 'How often its effect was tried.';
COMMENT ON COLUMN delivery_parked.parked_at IS 'When it was parked, by the clock of this database.';
