-- How far the portal has come in the streams that RabbitMQ brings (see portal/positions.py).

CREATE TABLE portal_stream (
    stream    text PRIMARY KEY,
    epoch     bigint NOT NULL,
    watermark bigint NOT NULL CHECK (watermark >= 0),
    ahead     bigint[] NOT NULL DEFAULT '{}',
    highest   bigint NOT NULL,
    forks     bigint[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50); -- a row a stream, written with every batch

COMMENT ON TABLE portal_stream IS 'Which events of each stream are settled here, written in the transaction that settles them.';
COMMENT ON COLUMN portal_stream.stream IS 'Name of the stream, or of one of its lanes.';
COMMENT ON COLUMN portal_stream.epoch IS 'The sender''s history to which the seqs belong; 0: begins with the next event.';
COMMENT ON COLUMN portal_stream.watermark IS 'Every event up to this seq is settled.';
COMMENT ON COLUMN portal_stream.ahead IS 'Ranges beyond it that are settled too: first, last, first, last, ...';
COMMENT ON COLUMN portal_stream.highest IS 'The highest seq that the sender is known to have given.';
COMMENT ON COLUMN portal_stream.forks IS 'The epochs before it and the last seq of each: epoch, seq, epoch, seq, ...';

-- A portal that was here before this table has settled what came before the next event.
INSERT INTO portal_stream (stream, epoch, watermark, highest)
SELECT 'billing', 0, 0, 0 WHERE EXISTS (SELECT FROM sales);
