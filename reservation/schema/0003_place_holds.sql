-- depends: 0002_holds
-- Placing holds, many or one to a call, each decided on its own: a refusal undoes nothing of the others, so nothing is rolled back.
--
-- Laws:
--   * Order of locks: keys (sorted), numbered seats (by unit_id), general admission. Who waits holds only what comes before.
--   * General admission is taken with SKIP LOCKED and so waits for nobody. When places were skipped, the answer is neither yes nor no:
--     `contended`. The caller asks again, patiently: one request in a transaction of its own, waiting for places in their order.
--   * Time is clock_timestamp(), read after the numbered seats are locked. The transaction's own now() lies before the wait for the
--     locks: it would refuse seats that have become free meanwhile, and hand out holds that have lost part of their time.
--   * A hold begins when all its places are locked, general admission too: the clock is read once more. So no place is ever shown as two
--     holds' at one time: who had it before has ended before.
--   * Functions with queries are PL/pgSQL, which keeps their plans; SQL functions would be planned anew at each call (0.5 ms each).
--   * Every answer is read from the idempotency row, the first one too: a repeated answer is equal by construction.

CREATE TYPE hold_request AS (
    hold_id     uuid,
    event_id    uuid,
    buyer_id    text,
    key         text,
    fingerprint bytea,
    seats       uuid[],
    general     json,
    late        text
);

COMMENT ON TYPE hold_request IS 'A wish for places, checked for its shape: no seat and no tier twice. hold_id is proposed, fresh for each attempt; general is [{"tier": name, "quantity": how many}].';


CREATE FUNCTION can_be_taken(unit units, as_of timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE
RETURN (unit).state = 'free' OR ((unit).state = 'held' AND (unit).held_until <= as_of);

COMMENT ON FUNCTION can_be_taken(units, timestamptz) IS 'Whether a place is free by the clock: it needs no sweeper for that.';


CREATE FUNCTION lock_general(tier uuid, quantity integer, as_of timestamptz, patient boolean) RETURNS uuid[] LANGUAGE plpgsql AS $$
DECLARE
    picked uuid[];
BEGIN
    IF patient THEN
        picked := ARRAY(
            SELECT unit_id FROM units WHERE tier_id = tier AND row_name IS NULL AND state = 'free'
             ORDER BY unit_id LIMIT quantity FOR NO KEY UPDATE);
        RETURN picked || ARRAY(
            SELECT unit_id FROM units WHERE tier_id = tier AND row_name IS NULL AND state = 'held' AND held_until <= as_of
             ORDER BY held_until, unit_id LIMIT quantity - cardinality(picked) FOR NO KEY UPDATE);
    END IF;
    picked := ARRAY(
        SELECT unit_id FROM units WHERE tier_id = tier AND row_name IS NULL AND state = 'free'
         ORDER BY unit_id LIMIT quantity FOR NO KEY UPDATE SKIP LOCKED);
    RETURN picked || ARRAY(
        SELECT unit_id FROM units WHERE tier_id = tier AND row_name IS NULL AND state = 'held' AND held_until <= as_of
         ORDER BY held_until, unit_id LIMIT quantity - cardinality(picked) FOR NO KEY UPDATE SKIP LOCKED);
END $$;

COMMENT ON FUNCTION lock_general(uuid, integer, timestamptz, boolean) IS 'Locks up to `quantity` places of a general-admission tier: free ones first, then those whose hold is over.';


CREATE FUNCTION count_general(tier uuid, most integer, as_of timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    RETURN count(*) FROM (
        (SELECT FROM units WHERE tier_id = tier AND row_name IS NULL AND state = 'free' LIMIT most)
        UNION ALL
        (SELECT FROM units WHERE tier_id = tier AND row_name IS NULL AND state = 'held' AND held_until <= as_of LIMIT most)
    ) AS seen;
END $$;

COMMENT ON FUNCTION count_general(uuid, integer, timestamptz) IS 'How many places of a tier could be taken, locked or not; exact below `most`.';


CREATE FUNCTION hold_lines(hold uuid) RETURNS json LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN json_agg(json_build_object('unit_id', unit_id, 'tier', name, 'label', label, 'price_minor', line.price_minor) ORDER BY unit_id)
      FROM hold_units AS line JOIN units USING (unit_id) JOIN tiers USING (tier_id) WHERE line.hold_id = hold;
END $$;

COMMENT ON FUNCTION hold_lines(uuid) IS 'The lines of a hold: [{unit_id, tier, label, price_minor}].';


CREATE FUNCTION place_hold(request hold_request, locked uuid[], as_of timestamptz, patient boolean) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
    event   events;
    tier    tiers;
    wish    record;
    taken   uuid[] := request.seats;
    picked  uuid[];
    lacking json;
    begins  timestamptz;
    until   timestamptz;
BEGIN
    SELECT * INTO event FROM events WHERE event_id = request.event_id;
    IF NOT FOUND THEN
        RETURN json_build_object('code', 'event_unknown');
    ELSIF event.starts_at <= as_of THEN
        RETURN json_build_object('code', 'event_closed');
    ELSIF cardinality(request.seats) + (SELECT coalesce(sum((w ->> 'quantity')::integer), 0) FROM json_array_elements(request.general) AS w)
            > event.seats_per_hold_max THEN
        RETURN json_build_object('code', 'too_many_seats', 'most', event.seats_per_hold_max);
    END IF;

    SELECT json_agg(seat_id) INTO lacking FROM unnest(request.seats) AS seat_id
     WHERE NOT EXISTS (SELECT FROM units WHERE unit_id = seat_id AND event_id = request.event_id AND row_name IS NOT NULL);
    IF lacking IS NOT NULL THEN
        RETURN json_build_object('code', 'seat_unknown', 'seats', lacking);
    END IF;
    SELECT json_agg(unit_id) INTO lacking FROM units WHERE unit_id = ANY (request.seats) AND NOT can_be_taken(units, as_of);
    IF lacking IS NOT NULL THEN
        RETURN json_build_object('code', 'seat_unavailable', 'unavailable', lacking);
    ELSIF NOT request.seats <@ locked THEN
        RETURN json_build_object('code', 'contended');  -- seen to be taken, so not locked, and now free
    END IF;

    FOR wish IN SELECT w.tier, w.quantity FROM json_to_recordset(request.general) AS w (tier text, quantity integer) ORDER BY w.tier LOOP
        SELECT * INTO tier FROM tiers WHERE event_id = request.event_id AND name = wish.tier AND NOT numbered;
        IF NOT FOUND THEN
            RETURN json_build_object('code', 'tier_unknown', 'tier', wish.tier);
        END IF;
        picked := lock_general(tier.tier_id, wish.quantity, as_of, patient);
        IF cardinality(picked) < wish.quantity THEN
            IF NOT patient AND count_general(tier.tier_id, wish.quantity, as_of) >= wish.quantity THEN
                RETURN json_build_object('code', 'contended');  -- enough are there, but others have their hands on them
            END IF;
            RETURN json_build_object('code', 'seat_unavailable', 'unavailable', json_build_array(
                json_build_object('tier', wish.tier, 'free', cardinality(picked))));
        END IF;
        taken := taken || picked;
    END LOOP;

    begins := clock_timestamp();
    until := begins + make_interval(secs => event.hold_ttl_s + event.grace_s);
    INSERT INTO holds (hold_id, event_id, buyer_id, total_minor, currency, late, placed_at, expires_at, held_until)
    SELECT request.hold_id, request.event_id, request.buyer_id, sum(price_minor), event.currency, request.late,
           begins, begins + make_interval(secs => event.hold_ttl_s), until
      FROM units JOIN tiers USING (tier_id) WHERE unit_id = ANY (taken);
    INSERT INTO hold_units (hold_id, unit_id, price_minor)
    SELECT request.hold_id, unit_id, price_minor FROM units JOIN tiers USING (tier_id) WHERE unit_id = ANY (taken);
    UPDATE units SET state = 'held', hold_id = request.hold_id, held_until = until WHERE unit_id = ANY (taken);
    RETURN NULL;
END $$;

COMMENT ON FUNCTION place_hold(hold_request, uuid[], timestamptz, boolean) IS 'Decides one request, all places or none; `locked` are the seats this transaction has locked. NULL when the hold is placed, else why not: code, and what belongs to it.';


CREATE FUNCTION place_holds(requests json, patient boolean)
RETURNS TABLE (
    claimed boolean, matches boolean, refusal json, hold_id uuid, event_id uuid, event_name text, grace_s integer,
    buyer_id text, total_minor bigint, currency text, placed_at timestamptz, expires_at timestamptz, lines json
)
LANGUAGE plpgsql
-- Plans are made once for a connection, perhaps while the tables are small: none of them may ever walk over a stadium.
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $$
#variable_conflict use_column
DECLARE
    wanted  hold_request[] := ARRAY(SELECT r FROM json_populate_recordset(NULL::hold_request, requests) AS r);
    ours    uuid[];  -- those whose key is new
    locked  uuid[];
    request hold_request;
    refused json;
    as_of   timestamptz := clock_timestamp();
BEGIN
    IF patient AND cardinality(wanted) > 1 THEN
        RAISE EXCEPTION 'patience is for one request: two could wait for each other''s places';
    END IF;

    -- A key that another transaction is claiming right now: waits for its end, and then is not ours.
    WITH claims AS (
        INSERT INTO idempotency (scope, key, fingerprint, hold_id)
        SELECT 'holds', w.key, w.fingerprint, w.hold_id FROM unnest(wanted) AS w ORDER BY w.key
        ON CONFLICT DO NOTHING RETURNING hold_id
    )
    SELECT coalesce(array_agg(claims.hold_id), '{}') INTO ours FROM claims;

    -- Nobody queues for a seat that is seen to be taken: on a hot seat that would be nearly everybody.
    locked := ARRAY(
        SELECT unit_id FROM units WHERE unit_id IN (
            SELECT seat_id FROM unnest(wanted) AS w, unnest(w.seats) AS seat_id
             WHERE w.hold_id = ANY (ours)
               AND (patient OR NOT EXISTS (
                    SELECT FROM units AS seen WHERE seen.unit_id = ANY (w.seats) AND NOT can_be_taken(seen, as_of)))
        ) ORDER BY unit_id FOR NO KEY UPDATE);
    as_of := clock_timestamp();

    FOREACH request IN ARRAY wanted LOOP
        CONTINUE WHEN NOT request.hold_id = ANY (ours);
        refused := place_hold(request, locked, as_of, patient);
        IF refused ->> 'code' = 'contended' THEN
            DELETE FROM idempotency WHERE scope = 'holds' AND key = request.key;
        ELSIF refused IS NOT NULL THEN
            UPDATE idempotency SET refusal = refused WHERE scope = 'holds' AND key = request.key;
        END IF;
    END LOOP;

    RETURN QUERY
    SELECT w.hold_id = ANY (ours), i.fingerprint = w.fingerprint, i.refusal, h.hold_id, h.event_id, e.name, e.grace_s,
           h.buyer_id, h.total_minor, h.currency, h.placed_at, h.expires_at, hold_lines(h.hold_id)
      FROM unnest(wanted) WITH ORDINALITY AS w
      LEFT JOIN idempotency AS i ON i.scope = 'holds' AND i.key = w.key
      LEFT JOIN holds AS h ON h.hold_id = i.hold_id
      LEFT JOIN events AS e ON e.event_id = h.event_id
     ORDER BY w.ordinality;
END $$;

COMMENT ON FUNCTION place_holds(json, boolean) IS 'Decides an array of hold_request; one row for each, in their order. claimed: the key was new. matches: the key belongs to this request; NULL when it is contended and to be asked again, patiently.';
