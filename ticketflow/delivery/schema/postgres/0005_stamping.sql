-- Stamping as functions, because they can say how they are to be planned. (MariaDB has no bitmap scans, and needs nothing of this.)
--
-- A row that is stamped leaves dead entries in the indexes of what waits. A plain scan that meets one marks it, and no scan meets it
-- again; a bitmap scan, which the planner likes for the few rows that it expects, meets them all each time until the next vacuum: a
-- stamp took up to 4 ms for 0.4. So what waits is found by a plain scan along delivery_outbox_unstamped, and what is stamped by its
-- primary key: coalesce(seq, 0) = 0 says `seq IS NULL` in a way that no index of what waits could be walked for, row after row.

-- What waits in the stream gets the seqs from after_seq + 1 on; for callers who hold the stream. No row: nothing waits.
CREATE FUNCTION delivery_stamp(of_stream text, after_seq bigint, rows_max integer)
RETURNS TABLE (seq bigint, body bytea, moved boolean)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off
SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    waiting bigint[] := ARRAY(
        SELECT position FROM delivery_outbox WHERE stream = of_stream AND seq IS NULL ORDER BY position LIMIT rows_max
    );
BEGIN
    IF waiting = '{}' THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH stamped AS (
        UPDATE delivery_outbox AS o SET seq = after_seq + batch.n
          FROM unnest(waiting) WITH ORDINALITY AS batch (position, n)
         WHERE o.position = batch.position AND coalesce(o.seq, 0) = 0 RETURNING o.seq, o.body
    ), moved AS (
        UPDATE delivery_stream SET last_seq = (SELECT max(seq) FROM stamped)
         WHERE stream = of_stream AND last_seq = after_seq AND EXISTS (SELECT FROM stamped) RETURNING last_seq
    )
    SELECT seq, body, EXISTS (SELECT FROM moved) FROM stamped ORDER BY seq;
END $$;

-- The same for one who holds nothing yet: under a lease, for a stream that stands as he has seen it, without lanes. ``held``: whether
-- that was so; nothing is done where it was not. One row at least: without a seq where nothing was stamped.
CREATE FUNCTION delivery_stamp_at_once(
    lease text, lease_token bigint, of_stream text, of_epoch bigint, after_seq bigint, rows_max integer
)
RETURNS TABLE (seq bigint, body bytea, moved boolean, held boolean)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
BEGIN
    -- They are locked in the order in which FOR UPDATE names them; what was committed while we waited is seen from here on.
    PERFORM FROM delivery_lease AS l, delivery_stream AS s
      WHERE l.name = lease AND l.token = lease_token AND l.expires_at > clock_timestamp() AND s.stream = of_stream
        AND s.epoch = of_epoch AND s.last_seq = after_seq AND s.lanes = 1 AND s.barrier_due = ''
        FOR UPDATE OF l, s;
    IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::bigint, NULL::bytea, true, false;
        RETURN;
    END IF;
    RETURN QUERY SELECT seq, body, moved, true FROM delivery_stamp(of_stream, after_seq, rows_max);
    IF NOT FOUND THEN
        RETURN QUERY SELECT NULL::bigint, NULL::bytea, true, true;
    END IF;
END $$;
