-- depends: 0008_decide_holds_leaner
-- decide_and_tell: decides as decide_holds does in 0008, under the same laws, and stages hold.placed for each hold that is new: so that
-- placing holds is one statement, a transaction by itself. Between the statements of a transaction its locks wait for the client, for
-- milliseconds on a good day and for seconds when that is frozen; here they wait for nothing but the disk.
--
-- The bytes of an event are two halves. The caller knows the first one beforehand (reservation/telling.py); the second one, which needs
-- the decision, is written here: msgpack, with two-byte lengths and eight-byte integers throughout, which every decoder takes.
-- decide_holds stays for the release before, and goes with the next.

-- STABLE where what they are made of is: functions that promise more than that are not put in their callers' place, and cost ten times
-- as much.
CREATE FUNCTION msgpack_text(value text) RETURNS bytea LANGUAGE sql STABLE
RETURN '\332'::bytea || int2send(octet_length(value)::smallint) || convert_to(value, 'UTF8');

COMMENT ON FUNCTION msgpack_text(text) IS 'str 16: up to 32767 bytes of UTF-8.';

CREATE FUNCTION msgpack_integer(value bigint) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN '\323'::bytea || int8send(value);

COMMENT ON FUNCTION msgpack_integer(bigint) IS 'int 64.';

CREATE FUNCTION us_since_epoch(value timestamptz) RETURNS bigint LANGUAGE sql STABLE
RETURN (extract(epoch FROM value) * 1000000)::bigint;

COMMENT ON FUNCTION us_since_epoch(timestamptz) IS 'Microseconds since the Unix epoch.';

CREATE FUNCTION decide_and_tell(requests hold_request[], patient boolean, stream text, event_ids uuid[], heads bytea[])
RETURNS TABLE (
    claimed boolean, matches boolean, refusal json, hold_id uuid, event_id uuid, event_name text, grace_s integer,
    buyer_id text, total_minor bigint, currency text, placed_at timestamptz, expires_at timestamptz, lines json
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    plans    text := set_config('plan_cache_mode', 'force_generic_plan', true) || set_config('enable_seqscan', 'off', true);
    as_of    timestamptz := clock_timestamp();
    verdicts json[];         -- by request: why it is lost
    kept     interval[];     -- by request: how long its places would be held
    ours     uuid[];         -- holds whose key is new
    open     text[];         -- keys of those that are contended
    won      uuid[];         -- holds that are placed, one element for each place
    places   uuid[];         -- the places,
    spans    interval[];     -- and for how long they are held
    free     uuid[];         -- seats that are locked here and can be taken
    gone     uuid[];         -- seats that cannot be taken, or no more
    standing boolean;        -- whether anybody wants general admission
    begins   timestamptz;
    held     uuid[];         -- holds that are placed, one element for each,
    totals   bigint[];       -- what they cost,
    texts    json[];         -- and their lines,
    telling  uuid[];         -- the events that tell of them,
    bodies   bytea[];        -- and their bytes
BEGIN
    IF NOT patient THEN
        plans := set_config('lock_timeout', '250ms', true);
    ELSIF cardinality(requests) > 1 THEN
        RAISE EXCEPTION 'patience is for one request: two could wait for each other''s places';
    END IF;

    -- A key that another transaction is claiming right now: waits for its end, and then is not ours.
    WITH seen AS MATERIALIZED (
        SELECT n, w.hold_id, w.key, w.fingerprint, make_interval(secs => e.hold_ttl_s + e.grace_s) AS kept, CASE
                   WHEN e.event_id IS NULL THEN json_build_object('code', 'event_unknown')
                   WHEN e.starts_at <= as_of OR e.closed_at IS NOT NULL THEN json_build_object('code', 'event_closed')
                   WHEN cardinality(w.seats) + CASE w.general::text WHEN '[]' THEN 0 ELSE (
                            SELECT coalesce(sum((wanted ->> 'quantity')::integer), 0) FROM json_array_elements(w.general) AS wanted
                        ) END > e.seats_per_hold_max THEN json_build_object('code', 'too_many_seats', 'most', e.seats_per_hold_max)
                   WHEN s.unknown IS NOT NULL THEN json_build_object('code', 'seat_unknown', 'seats', s.unknown)
                   WHEN s.lacking IS NOT NULL THEN json_build_object('code', 'seat_unavailable', 'unavailable', s.lacking)
               END AS verdict
          FROM unnest(requests) WITH ORDINALITY AS w (hold_id, event_id, buyer_id, key, fingerprint, seats, general, late, n)
          LEFT JOIN LATERAL (
                SELECT event_id, starts_at, closed_at, hold_ttl_s, grace_s, seats_per_hold_max FROM events WHERE event_id = w.event_id OFFSET 0
             ) AS e ON true
         CROSS JOIN LATERAL (
                SELECT json_agg(seat_id) FILTER (WHERE u.unit_id IS NULL) AS unknown,
                       json_agg(seat_id) FILTER (WHERE u.state = 'sold' OR (u.state = 'held' AND u.held_until > as_of)) AS lacking
                  FROM unnest(w.seats) AS seat_id
                  LEFT JOIN LATERAL (
                        SELECT unit_id, state, held_until FROM units
                         WHERE unit_id = seat_id AND event_id = w.event_id AND row_name IS NOT NULL OFFSET 0
                     ) AS u ON true
             ) AS s
    ), claims AS (
        INSERT INTO idempotency (scope, key, fingerprint, hold_id, refusal)
        SELECT 'holds', key, fingerprint, hold_id, verdict FROM seen ORDER BY key, n
        ON CONFLICT DO NOTHING RETURNING hold_id
    )
    SELECT array_agg(verdict), array_agg(kept), (SELECT coalesce(array_agg(claims.hold_id), '{}') FROM claims)
      INTO verdicts, kept, ours FROM (SELECT verdict, kept FROM seen ORDER BY n) AS seen;

    SELECT array_agg(w.hold_id), array_agg(seat_id), array_agg(kept[n]), bool_or(w.general::text <> '[]')
      INTO won, places, spans, standing
      FROM unnest(requests) WITH ORDINALITY AS w (hold_id, event_id, buyer_id, key, fingerprint, seats, general, late, n)
      LEFT JOIN LATERAL unnest(w.seats) AS seat_id ON true
     WHERE verdicts[n] IS NULL AND w.hold_id = ANY (ours);

    IF won IS NOT NULL THEN
        IF patient THEN
            SELECT array_agg(unit_id) FILTER (WHERE good), array_agg(unit_id) FILTER (WHERE NOT good) INTO free, gone
              FROM (SELECT unit_id, can_be_taken(units, clock_timestamp()) AS good FROM units
                     WHERE unit_id = ANY (places) ORDER BY unit_id FOR NO KEY UPDATE) AS locked;
        ELSE
            SELECT array_agg(unit_id) FILTER (WHERE good), array_agg(unit_id) FILTER (WHERE NOT good) INTO free, gone
              FROM (SELECT unit_id, can_be_taken(units, clock_timestamp()) AS good FROM units
                     WHERE unit_id = ANY (places) ORDER BY unit_id FOR NO KEY UPDATE SKIP LOCKED) AS locked;
        END IF;
        begins := clock_timestamp();
    END IF;

    -- As many as are wanted: each of them once, and all of them ours. Else one request after the other.
    IF standing OR cardinality(free) IS DISTINCT FROM cardinality(places) THEN
        DECLARE
            request hold_request;
            tier    record;
            wish    record;
            pools   text[] := '{}';     -- general admission, by event and tier name: of each
            tiers   uuid[] := '{}';     -- its id,
            stock   uuid[] := '{}';     -- the places that are locked here, one pool after the other,
            first   integer[] := '{}';  -- where they begin,
            next    integer[] := '{}';  -- the first of them that is not given out,
            after   integer[] := '{}';  -- and where they end
            before  integer[];
            pool    integer;
            taken   uuid[];
            verdict json;
            losers  text[] := '{}';     -- keys of those that are refused after all
            because json[] := '{}';
        BEGIN
            won := '{}';
            places := '{}';
            spans := '{}';
            free := coalesce(free, '{}');
            gone := coalesce(gone, '{}');
            as_of := begins;
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
                begins := clock_timestamp();
            END IF;

            FOR n IN 1 .. cardinality(requests) LOOP
                CONTINUE WHEN verdicts[n] IS NOT NULL;
                request := requests[n];
                CONTINUE WHEN NOT request.hold_id = ANY (ours);
                verdict := NULL;
                before := next;
                taken := request.seats;
                IF request.seats && gone THEN
                    verdict := json_build_object('code', 'seat_unavailable', 'unavailable',
                        ARRAY(SELECT seat_id FROM unnest(request.seats) AS seat_id WHERE seat_id = ANY (gone)));
                ELSIF NOT request.seats <@ free THEN
                    verdict := json_build_object('code', 'contended');
                ELSIF request.general::text <> '[]' THEN
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
                    spans := spans || array_fill(kept[n], ARRAY[cardinality(taken)]);
                ELSIF verdict ->> 'code' = 'contended' THEN
                    open := open || request.key;
                    next := before;
                ELSE
                    verdicts[n] := verdict;
                    losers := losers || request.key;
                    because := because || verdict;
                    next := before;
                END IF;
            END LOOP;

            IF losers <> '{}' THEN
                UPDATE idempotency SET refusal = because[array_position(losers, key)] WHERE scope = 'holds' AND key = ANY (losers);
            END IF;
            IF open IS NOT NULL THEN
                DELETE FROM idempotency WHERE scope = 'holds' AND key = ANY (open);
            END IF;
        END;
    END IF;

    IF won <> '{}' THEN
        WITH taken AS (
            UPDATE units SET state = 'held', hold_id = won[array_position(places, unit_id)],
                             held_until = begins + spans[array_position(places, unit_id)]
             WHERE unit_id = ANY (places) RETURNING hold_id, unit_id, tier_id, label
        ), line AS MATERIALIZED (
            SELECT u.hold_id, u.unit_id, t.name, u.label, t.price_minor
              FROM taken AS u CROSS JOIN LATERAL (SELECT name, price_minor FROM tiers WHERE tier_id = u.tier_id OFFSET 0) AS t
        ), written AS (
            INSERT INTO hold_units (hold_id, unit_id, price_minor) SELECT hold_id, unit_id, price_minor FROM line
        ), sum AS MATERIALIZED (
            SELECT hold_id, sum(price_minor)::bigint AS total_minor,
                   json_agg(json_build_object('unit_id', unit_id, 'tier', name, 'label', label, 'price_minor', price_minor)) AS lines,
                   '\334'::bytea || int2send(count(*)::smallint) || string_agg(                                           -- array 16
                       '\204\247unit_id\331\044'::bytea || convert_to(unit_id::text, 'UTF8')                              -- map of 4, str 8 of 36
                       || '\244tier'::bytea || msgpack_text(name) || '\245label'::bytea || msgpack_text(label)
                       || '\253price_minor'::bytea || msgpack_integer(price_minor), '') AS packed
              FROM (SELECT * FROM line ORDER BY hold_id, unit_id) AS line GROUP BY hold_id
        ), whole AS MATERIALIZED (
            SELECT r.hold_id, r.event_id, r.buyer_id, r.late, n, sum.total_minor, sum.lines, sum.packed, e.name, e.currency, e.hold_ttl_s, e.grace_s
              FROM unnest(requests) WITH ORDINALITY AS r (hold_id, event_id, buyer_id, key, fingerprint, seats, general, late, n)
              JOIN sum USING (hold_id)
             CROSS JOIN LATERAL (SELECT name, currency, hold_ttl_s, grace_s FROM events WHERE event_id = r.event_id OFFSET 0) AS e
        ), placed AS (
            INSERT INTO holds (hold_id, event_id, buyer_id, total_minor, currency, late, placed_at, expires_at, held_until)
            SELECT hold_id, event_id, buyer_id, total_minor, currency, late, begins,
                   begins + make_interval(secs => hold_ttl_s), begins + make_interval(secs => hold_ttl_s + grace_s)
              FROM whole
        )
        SELECT array_agg(hold_id), array_agg(total_minor), array_agg(lines),
               array_agg(heads[n] || '\252event_name'::bytea || msgpack_text(name) || '\250currency'::bytea || msgpack_text(currency)
                         || '\253total_minor'::bytea || msgpack_integer(total_minor) || '\245lines'::bytea || packed
                         || '\254placed_at_us'::bytea || msgpack_integer(begins_us)
                         || '\255expires_at_us'::bytea || msgpack_integer(begins_us + hold_ttl_s * 1000000::bigint)
                         || '\247grace_s'::bytea || msgpack_integer(grace_s)
                         || '\256occurred_at_us'::bytea || msgpack_integer(begins_us)),
               array_agg(event_ids[n])
          INTO held, totals, texts, bodies, telling FROM whole, LATERAL (SELECT us_since_epoch(begins) AS begins_us OFFSET 0) AS b;
        PERFORM delivery_stage(stream, 'hold.placed', telling, held::text[], bodies);
    END IF;

    IF cardinality(ours) = cardinality(requests) THEN
        RETURN QUERY
        SELECT true, CASE WHEN w.key = ANY (open) THEN NULL ELSE true END, verdicts[n], held[place], e.event_id, e.name, e.grace_s,
               CASE WHEN place IS NOT NULL THEN w.buyer_id END, totals[place], e.currency, CASE WHEN place IS NOT NULL THEN begins END,
               begins + make_interval(secs => e.hold_ttl_s), texts[place]
          FROM unnest(requests) WITH ORDINALITY AS w (hold_id, event_id, buyer_id, key, fingerprint, seats, general, late, n)
         CROSS JOIN LATERAL (SELECT array_position(held, w.hold_id) AS place OFFSET 0) AS p
          LEFT JOIN LATERAL (
                SELECT event_id, name, grace_s, currency, hold_ttl_s FROM events WHERE event_id = w.event_id AND place IS NOT NULL OFFSET 0
             ) AS e ON true
         ORDER BY n;
        RETURN;
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
