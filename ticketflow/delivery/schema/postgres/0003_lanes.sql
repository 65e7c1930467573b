-- A stream may be split into lanes: see ticketflow/delivery/lanes.py. The same names stand in MariaDB.
-- One lane, which is what everybody has until `lanes set`, needs nothing of this.

ALTER TABLE delivery_stream
    ADD COLUMN lanes smallint NOT NULL DEFAULT 1 CHECK (lanes BETWEEN 1 AND 64),
    ADD COLUMN barrier_seq bigint NOT NULL DEFAULT 0,
    ADD COLUMN barrier_due text NOT NULL DEFAULT '';

COMMENT ON COLUMN delivery_stream.lanes IS 'How many lanes the family has now; alike in all of its rows, which change together.';
COMMENT ON COLUMN delivery_stream.barrier_seq IS 'Where the newest barrier of this lane stands; 0 for none.';
COMMENT ON COLUMN delivery_stream.barrier_due IS 'JSON: what the barrier requires that its relay has to stamp before anything else; empty for none.';

-- The slot of a key, for whoever staged it, versions without lanes included. Only what is not stamped yet is in here.
CREATE INDEX delivery_outbox_slot
    ON delivery_outbox (stream, (get_byte(decode(md5(event_key), 'hex'), 0) & 63), position) WHERE seq IS NULL;

CREATE TABLE delivery_lane_barrier (
    stream   text NOT NULL,
    seq      bigint NOT NULL,
    requires text NOT NULL,
    PRIMARY KEY (stream, seq)
);

COMMENT ON TABLE delivery_lane_barrier IS 'Where a lane waits for the others after the number of lanes was changed; goes when the outbox is purged beyond it.';
COMMENT ON COLUMN delivery_lane_barrier.stream IS 'The lane.';
COMMENT ON COLUMN delivery_lane_barrier.seq IS 'The seq of the barrier event in it.';
COMMENT ON COLUMN delivery_lane_barrier.requires IS 'JSON: by stream, the seq up to which it must be acknowledged first.';

CREATE TABLE delivery_replica (
    stream  text NOT NULL,
    owner   text NOT NULL,
    held    smallint NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (stream, owner)
) WITH (fillfactor = 50);

COMMENT ON TABLE delivery_replica IS 'Who could relay a family of several lanes, so that they spread them; nothing depends on it.';
COMMENT ON COLUMN delivery_replica.stream IS 'The family.';
COMMENT ON COLUMN delivery_replica.owner IS 'The instance.';
COMMENT ON COLUMN delivery_replica.held IS 'How many lanes it relays.';
COMMENT ON COLUMN delivery_replica.seen_at IS 'When it last said so, by the clock of this database.';
