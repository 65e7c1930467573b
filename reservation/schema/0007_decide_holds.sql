-- depends: 0006_closed_events
-- Placing holds together: as place_holds (0003), in a number of statements that does not grow with the number of requests.
-- place_holds and place_hold stay for the release before.
--
-- Laws, beside those of 0003:
--   * Each request is decided on its own. Of two that want the same place the first of the array gets it.
--   * What can be seen to be lost locks nothing and waits for nobody: its refusal is written together with its key.
--   * Nobody waits for a place, unless `patient`: what others have locked is skipped, and whoever wants it is `contended`. So nothing is
--     waited for while a place is locked, and callers with many requests cannot deadlock. Keys are waited for, and they come first: for
--     `lock_timeout` below, since the neighbours wait as well. Whoever had to wait for so long is asked again, alone and patient.
--   * Plans are made once, perhaps for empty tables, and must serve full ones. Walking over a table that is empty costs nothing, so that
--     a join may be planned as a walk whatever is switched off. So no table is joined freely here: each is looked up by its key, row by
--     row (LATERAL ... OFFSET 0, which the planner may not take apart) or for an array of keys (= ANY).

CREATE FUNCTION decide_holds(requests hold_request[], patient boolean)
RETURNS TABLE (
    claimed boolean, matches boolean, refusal json, hold_id uuid, event_id uuid, event_name text, grace_s integer,
    buyer_id text, total_minor bigint, currency text, placed_at timestamptz, expires_at timestamptz, lines json
)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off  -- the costs of what is switched off are so high that every plan would be compiled
AS $$
#variable_conflict use_column
DECLARE
    as_of    timestamptz := clock_timestamp();
    request  hold_request;
    verdicts json[];             -- by request: why it is lost, as far as can be seen without a lock
    kept     interval[];         -- by request: how long its places would be held
    ours     uuid[];             -- holds whose key is new
    wanted   uuid[] := '{}';     -- their seats
    free     uuid[] := '{}';     -- seats that are locked here and can be taken
    gone     uuid[] := '{}';     -- seats that cannot be taken, or no more
    standing boolean := false;   -- whether anybody wants general admission
    tier     record;
    wish     record;
    pools    text[] := '{}';     -- general admission, by event and tier name: of each
    tiers    uuid[] := '{}';     -- its id,
    stock    uuid[] := '{}';     -- the places that are locked here, one pool after the other,
    first    integer[] := '{}';  -- where they begin,
    next     integer[] := '{}';  -- the first of them that is not given out,
    after    integer[] := '{}';  -- and where they end
    before   integer[];
    pool     integer;
    taken    uuid[];
    verdict  json;
    won      uuid[] := '{}';     -- holds that are placed, one element for each place
    places   uuid[] := '{}';     -- the places,
    untils   timestamptz[] := '{}';  -- and until when they are held
    losers   text[] := '{}';     -- keys of those that are refused after all
    because  json[] := '{}';
    open     text[] := '{}';     -- keys of those that are contended
    begins   timestamptz;
BEGIN
    IF NOT patient THEN
        PERFORM set_config('lock_timeout', '250ms', true);
    ELSIF cardinality(requests) > 1 THEN
        RAISE EXCEPTION 'patience is for one request: two could wait for each other''s places';
    END IF;

    SELECT array_agg(seen.verdict ORDER BY n), array_agg(seen.kept ORDER BY n) INTO verdicts, kept FROM (
        SELECT n, make_interval(secs => e.hold_ttl_s + e.grace_s) AS kept, CASE
                   WHEN e.event_id IS NULL THEN json_build_object('code', 'event_unknown')
                   WHEN e.starts_at <= as_of OR e.closed_at IS NOT NULL THEN json_build_object('code', 'event_closed')
                   WHEN cardinality(w.seats) + CASE json_array_length(w.general) WHEN 0 THEN 0 ELSE (
                            SELECT sum((wanted ->> 'quantity')::integer) FROM json_array_elements(w.general) AS wanted
                        ) END > e.seats_per_hold_max THEN json_build_object('code', 'too_many_seats', 'most', e.seats_per_hold_max)
                   WHEN s.unknown IS NOT NULL THEN json_build_object('code', 'seat_unknown', 'seats', s.unknown)
                   WHEN s.lacking IS NOT NULL THEN json_build_object('code', 'seat_unavailable', 'unavailable', s.lacking)
               END AS verdict
          FROM unnest(requests) WITH ORDINALITY AS w (hold_id, event_id, buyer_id, key, fingerprint, seats, general, late, n)
          LEFT JOIN LATERAL (SELECT * FROM events WHERE event_id = w.event_id OFFSET 0) AS e ON true
         CROSS JOIN LATERAL (
                SELECT json_agg(seat_id) FILTER (WHERE u.unit_id IS NULL) AS unknown,
                       json_agg(seat_id) FILTER (WHERE u.state = 'sold' OR (u.state = 'held' AND u.held_until > as_of)) AS lacking
                  FROM unnest(w.seats) AS seat_id
                  LEFT JOIN LATERAL (
                        SELECT * FROM units WHERE unit_id = seat_id AND event_id = w.event_id AND row_name IS NOT NULL OFFSET 0
                     ) AS u ON true
             ) AS s
    ) AS seen;

    -- A key that another transaction is claiming right now: waits for its end, and then is not ours.
    WITH claims AS (
        INSERT INTO idempotency (scope, key, fingerprint, hold_id, refusal)
        SELECT 'holds', w.key, w.fingerprint, w.hold_id, verdicts[n]
          FROM unnest(requests) WITH ORDINALITY AS w (hold_id, event_id, buyer_id, key, fingerprint, seats, general, late, n)
         ORDER BY w.key, n
        ON CONFLICT DO NOTHING RETURNING hold_id
    )
    SELECT coalesce(array_agg(claims.hold_id), '{}') INTO ours FROM claims;

    FOR n IN 1 .. cardinality(requests) LOOP
        request := requests[n];
        IF verdicts[n] IS NULL AND request.hold_id = ANY (ours) THEN
            wanted := wanted || request.seats;
            standing := standing OR json_array_length(request.general) > 0;
        END IF;
    END LOOP;
    IF patient THEN
        SELECT coalesce(array_agg(unit_id) FILTER (WHERE good), '{}'), coalesce(array_agg(unit_id) FILTER (WHERE NOT good), '{}')
          INTO free, gone
          FROM (SELECT unit_id, can_be_taken(units, clock_timestamp()) AS good FROM units
                 WHERE unit_id = ANY (wanted) ORDER BY unit_id FOR NO KEY UPDATE) AS locked;
    ELSIF wanted <> '{}' THEN
        SELECT coalesce(array_agg(unit_id) FILTER (WHERE good), '{}'), coalesce(array_agg(unit_id) FILTER (WHERE NOT good), '{}')
          INTO free, gone
          FROM (SELECT unit_id, can_be_taken(units, clock_timestamp()) AS good FROM units
                 WHERE unit_id = ANY (wanted) ORDER BY unit_id FOR NO KEY UPDATE SKIP LOCKED) AS locked;
    END IF;
    as_of := clock_timestamp();

    IF standing THEN
        -- For each tier as many places as all together want: two wishes for one tier could not tell each other's locks from none.
        FOR tier IN
            SELECT w.event_id, wanted.tier AS name, t.tier_id, sum(wanted.quantity)::integer AS quantity
              FROM unnest(requests) WITH ORDINALITY AS w (hold_id, event_id, buyer_id, key, fingerprint, seats, general, late, n)
             CROSS JOIN json_to_recordset(w.general) AS wanted (tier text, quantity integer)
              LEFT JOIN LATERAL (
                    SELECT tier_id FROM tiers WHERE event_id = w.event_id AND name = wanted.tier AND NOT numbered OFFSET 0
                 ) AS t ON true
             WHERE verdicts[n] IS NULL AND w.hold_id = ANY (ours)
             GROUP BY w.event_id, wanted.tier, t.tier_id ORDER BY w.event_id, wanted.tier
        LOOP
            pools := pools || (tier.event_id || tier.name);
            tiers := tiers || tier.tier_id;
            first := first || cardinality(stock) + 1;
            next := next || cardinality(stock) + 1;
            IF tier.tier_id IS NOT NULL THEN
                stock := stock || lock_general(tier.tier_id, tier.quantity, as_of, patient);
            END IF;
            after := after || cardinality(stock) + 1;
        END LOOP;
    END IF;

    begins := clock_timestamp();

    FOR n IN 1 .. cardinality(requests) LOOP
        CONTINUE WHEN verdicts[n] IS NOT NULL;
        request := requests[n];
        CONTINUE WHEN NOT request.hold_id = ANY (ours);
        verdict := NULL;
        taken := request.seats;
        IF request.seats && gone THEN
            verdict := json_build_object('code', 'seat_unavailable', 'unavailable',
                ARRAY(SELECT seat_id FROM unnest(request.seats) AS seat_id WHERE seat_id = ANY (gone)));
        ELSIF NOT request.seats <@ free THEN
            verdict := json_build_object('code', 'contended');
        ELSIF json_array_length(request.general) > 0 THEN
            before := next;
            FOR wish IN SELECT w.tier, w.quantity FROM json_to_recordset(request.general) AS w (tier text, quantity integer) ORDER BY w.tier LOOP
                pool := array_position(pools, request.event_id || wish.tier);
                IF tiers[pool] IS NULL THEN
                    verdict := json_build_object('code', 'tier_unknown', 'tier', wish.tier);
                ELSIF after[pool] - next[pool] >= wish.quantity THEN
                    taken := taken || stock[next[pool] : next[pool] + wish.quantity - 1];
                    next[pool] := next[pool] + wish.quantity;
                ELSIF NOT patient AND count_general(tiers[pool], next[pool] - first[pool] + wish.quantity, as_of)
                        >= next[pool] - first[pool] + wish.quantity THEN
                    verdict := json_build_object('code', 'contended');  -- enough are there, but others have their hands on them
                ELSE
                    verdict := json_build_object('code', 'seat_unavailable', 'unavailable',
                        json_build_array(json_build_object('tier', wish.tier, 'free', after[pool] - next[pool])));
                END IF;
                EXIT WHEN verdict IS NOT NULL;
            END LOOP;
        END IF;
        IF verdict IS NULL THEN
            gone := gone || request.seats;
            places := places || taken;
            won := won || array_fill(request.hold_id, ARRAY[cardinality(taken)]);
            untils := untils || array_fill(begins + kept[n], ARRAY[cardinality(taken)]);
        ELSIF verdict ->> 'code' = 'contended' THEN
            open := open || request.key;
            next := coalesce(before, next);
        ELSE
            losers := losers || request.key;
            because := because || verdict;
            next := coalesce(before, next);
        END IF;
        before := NULL;
    END LOOP;

    IF won <> '{}' THEN
        WITH line AS MATERIALIZED (
            SELECT w.hold_id, w.unit_id, t.price_minor
              FROM unnest(won, places) AS w (hold_id, unit_id)
             CROSS JOIN LATERAL (SELECT tier_id FROM units WHERE unit_id = w.unit_id OFFSET 0) AS u
             CROSS JOIN LATERAL (SELECT price_minor FROM tiers WHERE tier_id = u.tier_id OFFSET 0) AS t
        ), placed AS (
            INSERT INTO holds (hold_id, event_id, buyer_id, total_minor, currency, late, placed_at, expires_at, held_until)
            SELECT r.hold_id, r.event_id, r.buyer_id, sum.total_minor, e.currency, r.late, begins,
                   begins + make_interval(secs => e.hold_ttl_s), begins + make_interval(secs => e.hold_ttl_s + e.grace_s)
              FROM (SELECT hold_id, sum(price_minor) AS total_minor FROM line GROUP BY hold_id) AS sum
              JOIN unnest(requests) AS r USING (hold_id)
             CROSS JOIN LATERAL (SELECT * FROM events WHERE event_id = r.event_id OFFSET 0) AS e
        ), written AS (
            INSERT INTO hold_units (hold_id, unit_id, price_minor) SELECT hold_id, unit_id, price_minor FROM line
        )
        UPDATE units SET state = 'held', hold_id = won[array_position(places, unit_id)],
                         held_until = untils[array_position(places, unit_id)]
         WHERE unit_id = ANY (places);
    END IF;
    IF losers <> '{}' THEN
        UPDATE idempotency SET refusal = because[array_position(losers, key)] WHERE scope = 'holds' AND key = ANY (losers);
    END IF;
    IF open <> '{}' THEN
        DELETE FROM idempotency WHERE scope = 'holds' AND key = ANY (open);
    END IF;

    RETURN QUERY
    SELECT w.hold_id = ANY (ours), i.fingerprint = w.fingerprint, i.refusal, h.hold_id, h.event_id, e.name, e.grace_s,
           h.buyer_id, h.total_minor, h.currency, h.placed_at, h.expires_at, l.lines
      FROM unnest(requests) WITH ORDINALITY AS w
      LEFT JOIN LATERAL (SELECT * FROM idempotency WHERE scope = 'holds' AND key = w.key OFFSET 0) AS i ON true
      LEFT JOIN LATERAL (SELECT * FROM holds WHERE hold_id = i.hold_id OFFSET 0) AS h ON true
      LEFT JOIN LATERAL (SELECT * FROM events WHERE event_id = h.event_id OFFSET 0) AS e ON true
      LEFT JOIN LATERAL (
            SELECT json_agg(json_build_object('unit_id', line.unit_id, 'tier', t.name, 'label', u.label, 'price_minor', line.price_minor)
                            ORDER BY line.unit_id) AS lines
              FROM hold_units AS line
             CROSS JOIN LATERAL (SELECT tier_id, label FROM units WHERE unit_id = line.unit_id OFFSET 0) AS u
             CROSS JOIN LATERAL (SELECT name FROM tiers WHERE tier_id = u.tier_id OFFSET 0) AS t
             WHERE line.hold_id = h.hold_id
         ) AS l ON true
     ORDER BY w.ordinality;
END $$;

COMMENT ON FUNCTION decide_holds(hold_request[], boolean) IS 'Decides requests for holds; one row for each, in their order. claimed: the key was new. matches: the key belongs to this request; NULL when it is contended and to be asked again. patient: one request, which waits for what others have locked.';
