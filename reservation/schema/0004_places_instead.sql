-- depends: 0003_place_holds
-- Equal places for who pays late and finds his own gone: the free and the over of numbered seats, as general admission has them already.
-- A file of its own, as each of the next two: CREATE INDEX and ALTER TABLE lock a table to the end of their transaction, and a transaction
-- that locks two tables while the sale goes on would wait for it, and it for us. (100 000 places are indexed in 0.1 s.)

CREATE INDEX units_numbered_free ON units (tier_id, unit_id) WHERE row_name IS NOT NULL AND state = 'free';
CREATE INDEX units_numbered_held ON units (tier_id, held_until) WHERE row_name IS NOT NULL AND state = 'held';


CREATE FUNCTION seats_near(seat uuid, most integer, as_of timestamptz) RETURNS TABLE (unit_id uuid, row_name text, number integer)
LANGUAGE plpgsql
-- As in place_holds: plans are made once, and none of them may ever walk over a stadium.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    tier uuid := (SELECT tier_id FROM units WHERE unit_id = seat);
BEGIN
    -- The ids of an event's seats are in the order of its seats.
    RETURN QUERY
    (SELECT unit_id, row_name, number FROM units
      WHERE tier_id = tier AND row_name IS NOT NULL AND state = 'free' AND unit_id > seat ORDER BY unit_id LIMIT most)
    UNION ALL
    (SELECT unit_id, row_name, number FROM units
      WHERE tier_id = tier AND row_name IS NOT NULL AND state = 'free' AND unit_id < seat ORDER BY unit_id DESC LIMIT most)
    UNION ALL
    (SELECT unit_id, row_name, number FROM units
      WHERE tier_id = tier AND row_name IS NOT NULL AND state = 'held' AND held_until <= as_of ORDER BY held_until, unit_id LIMIT most);
END $$;

COMMENT ON FUNCTION seats_near(uuid, integer, timestamptz) IS 'Seats of the same tier that could be taken, locked or not: up to `most` after it, before it, and of those whose hold is over. All of them when there are fewer.';


CREATE FUNCTION lock_other_general(tier uuid, kept uuid[], quantity integer, as_of timestamptz) RETURNS uuid[]
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
DECLARE
    every  integer := quantity + cardinality(kept);
    picked uuid[];
BEGIN
    picked := ARRAY(
        SELECT place FROM unnest(lock_general(tier, every, as_of, false)) AS place WHERE place <> ALL (kept) LIMIT quantity);
    IF cardinality(picked) < quantity AND count_general(tier, every, as_of) >= every THEN
        RETURN NULL;
    END IF;
    RETURN picked;
END $$;

COMMENT ON FUNCTION lock_other_general(uuid, uuid[], integer, timestamptz) IS 'Locks up to `quantity` places of a general-admission tier beside `kept`, which the caller has locked and which could be taken, too. Waits for nobody: NULL when enough are there and others have their hands on them.';
