-- Forks, phantoms and holes: what is found when an end of a stream was restored to an older state, or lost rows.
-- The same tables, under the same names, stand in MariaDB.

ALTER TABLE delivery_inbox ADD COLUMN event_key text NOT NULL DEFAULT '';
CREATE INDEX delivery_inbox_seq ON delivery_inbox (stream, seq) WHERE seq IS NOT NULL;
ALTER TABLE delivery_inbox SET (autovacuum_vacuum_insert_scale_factor = 0.02); -- counting then reads the index alone

COMMENT ON COLUMN delivery_inbox.event_key IS 'The aggregate, for people who look; empty where nobody said.';
COMMENT ON COLUMN delivery_inbox.seq IS 'Its position in the stream''s present history; NULL when the source has none, or the history was left (delivery_phantom).';

CREATE TABLE delivery_passed (
    stream   text NOT NULL,
    seq      bigint NOT NULL CHECK (seq > 0),
    event_id uuid,
    PRIMARY KEY (stream, seq)
);

COMMENT ON TABLE delivery_passed IS 'Seqs that were received and have no dedup key of their own, so that they are no holes.';
COMMENT ON COLUMN delivery_passed.stream IS 'The stream.';
COMMENT ON COLUMN delivery_passed.seq IS 'The position.';
COMMENT ON COLUMN delivery_passed.event_id IS 'The event that came by it, known from before; NULL: bytes that are no event, which are parked.';

CREATE TABLE delivery_fork (
    position           bigserial PRIMARY KEY,
    stream             text NOT NULL,
    epoch              bigint NOT NULL,
    after_seq          bigint NOT NULL CHECK (after_seq >= 0),
    receiver_watermark bigint,
    found_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at        timestamptz,
    note               text NOT NULL DEFAULT '',
    UNIQUE (stream, epoch)
);

COMMENT ON TABLE delivery_fork IS 'The epochs of this sender that ended: its history was that of epoch up to and with after_seq. Told in HELLO; never deleted.';
COMMENT ON COLUMN delivery_fork.position IS 'Order of finding.';
COMMENT ON COLUMN delivery_fork.stream IS 'The stream.';
COMMENT ON COLUMN delivery_fork.epoch IS 'The epoch that ended.';
COMMENT ON COLUMN delivery_fork.after_seq IS 'The last seq that this sender still has of it.';
COMMENT ON COLUMN delivery_fork.receiver_watermark IS 'How far the receiver had it; NULL when a person forked.';
COMMENT ON COLUMN delivery_fork.found_at IS 'When, by the clock of this database.';
COMMENT ON COLUMN delivery_fork.resolved_at IS 'When a person settled what was lost; NULL until then.';
COMMENT ON COLUMN delivery_fork.note IS 'What that person says about it.';

CREATE TABLE delivery_inbox_fork (
    stream     text NOT NULL,
    epoch      bigint NOT NULL,
    after_seq  bigint NOT NULL,
    PRIMARY KEY (stream, epoch)
);

COMMENT ON TABLE delivery_inbox_fork IS 'The forks of the sender whose history this receiver follows, as its HELLO told them.';
COMMENT ON COLUMN delivery_inbox_fork.stream IS 'The stream.';
COMMENT ON COLUMN delivery_inbox_fork.epoch IS 'An epoch that ended.';
COMMENT ON COLUMN delivery_inbox_fork.after_seq IS 'After which seq.';

CREATE TABLE delivery_phantom (
    position    bigserial PRIMARY KEY,
    stream      text NOT NULL,
    epoch       bigint NOT NULL,
    seq         bigint NOT NULL,
    event_id    uuid NOT NULL,
    event_key   text NOT NULL,
    parked      boolean NOT NULL,
    received_at timestamptz NOT NULL,
    found_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    note        text NOT NULL DEFAULT ''
);

CREATE INDEX delivery_phantom_event ON delivery_phantom (event_id);
CREATE INDEX delivery_phantom_open ON delivery_phantom (stream, epoch) WHERE resolved_at IS NULL;

COMMENT ON TABLE delivery_phantom IS 'Events that were received and that their sender no longer has: it was restored to before them.';
COMMENT ON COLUMN delivery_phantom.position IS 'Order of finding.';
COMMENT ON COLUMN delivery_phantom.stream IS 'The stream it came by.';
COMMENT ON COLUMN delivery_phantom.epoch IS 'The epoch it came in.';
COMMENT ON COLUMN delivery_phantom.seq IS 'Its position in that epoch.';
COMMENT ON COLUMN delivery_phantom.event_id IS 'Its dedup key, which stays in delivery_inbox: should the sender stage it again, it is known.';
COMMENT ON COLUMN delivery_phantom.event_key IS 'The aggregate; empty where it was received before this column was.';
COMMENT ON COLUMN delivery_phantom.parked IS 'Whether it was parked when it was found, and had no effect.';
COMMENT ON COLUMN delivery_phantom.received_at IS 'When it was received, by the clock of this database.';
COMMENT ON COLUMN delivery_phantom.found_at IS 'When it was found to be a phantom.';
COMMENT ON COLUMN delivery_phantom.resolved_at IS 'When a person settled it, or its sender sent it again; NULL until then.';
COMMENT ON COLUMN delivery_phantom.note IS 'What there is to say about it.';

CREATE TABLE delivery_hole (
    position    bigserial PRIMARY KEY,
    side        text NOT NULL CHECK (side IN ('out', 'in')),
    stream      text NOT NULL,
    epoch       bigint NOT NULL,
    first_seq   bigint NOT NULL,
    last_seq    bigint NOT NULL,
    found_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    filled_at   timestamptz,
    given_up_at timestamptz,
    resolved_at timestamptz,
    note        text NOT NULL DEFAULT '',
    CHECK (first_seq <= last_seq)
);

CREATE INDEX delivery_hole_open ON delivery_hole (side, stream, first_seq) WHERE filled_at IS NULL;

COMMENT ON TABLE delivery_hole IS 'Seqs of which nothing is here although the stream has passed them.';
COMMENT ON COLUMN delivery_hole.position IS 'Order of finding.';
COMMENT ON COLUMN delivery_hole.side IS 'out: missing in the outbox of the sender; in: missing in the inbox of the receiver.';
COMMENT ON COLUMN delivery_hole.stream IS 'The stream.';
COMMENT ON COLUMN delivery_hole.epoch IS 'The epoch of its seqs.';
COMMENT ON COLUMN delivery_hole.first_seq IS 'The first that is missing.';
COMMENT ON COLUMN delivery_hole.last_seq IS 'The last that is missing.';
COMMENT ON COLUMN delivery_hole.found_at IS 'When, by the clock of this database.';
COMMENT ON COLUMN delivery_hole.filled_at IS 'When it was filled, or the history it was of was left.';
COMMENT ON COLUMN delivery_hole.given_up_at IS 'When it was known that a replay does not fill it.';
COMMENT ON COLUMN delivery_hole.resolved_at IS 'When a person settled it; NULL until then.';
COMMENT ON COLUMN delivery_hole.note IS 'What there is to say about it.';

CREATE TABLE delivery_check (
    side        text NOT NULL CHECK (side IN ('out', 'in')),
    stream      text NOT NULL,
    checked_seq bigint NOT NULL DEFAULT 0,
    floor_seq   bigint NOT NULL DEFAULT 0,
    recount_at  timestamptz NOT NULL DEFAULT clock_timestamp() + interval '1 day',
    resume_seq  bigint NOT NULL DEFAULT 0,
    stuck_seq   bigint NOT NULL DEFAULT -1,
    tries       integer NOT NULL DEFAULT 0,
    PRIMARY KEY (side, stream)
) WITH (fillfactor = 50);

COMMENT ON TABLE delivery_check IS 'How far the seqs of a stream have been counted. Apart from the stream''s own row, which effects wait for.';
COMMENT ON COLUMN delivery_check.side IS 'out: the outbox; in: the inbox.';
COMMENT ON COLUMN delivery_check.stream IS 'The stream.';
COMMENT ON COLUMN delivery_check.checked_seq IS 'All up to here has been counted.';
COMMENT ON COLUMN delivery_check.floor_seq IS 'Nothing up to here is counted: it was purged, or is older than the counting.';
COMMENT ON COLUMN delivery_check.recount_at IS 'When counting begins again from the floor.';
COMMENT ON COLUMN delivery_check.resume_seq IS 'The watermark before it was lowered for a replay; 0 when none is under way.';
COMMENT ON COLUMN delivery_check.stuck_seq IS 'The watermark at the last HELLO of such a replay.';
COMMENT ON COLUMN delivery_check.tries IS 'How many HELLOs found it there.';

-- What was received before was not counted as it is now.
INSERT INTO delivery_check (side, stream, checked_seq, floor_seq)
SELECT 'in', stream, watermark, watermark FROM delivery_inbox_stream;
