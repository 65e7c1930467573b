-- depends: 0005_moved_and_returned
-- An event that is closed takes no new holds. Those it has may still be paid and settled.

ALTER TABLE events ADD COLUMN closed_at timestamptz;

COMMENT ON COLUMN events.closed_at IS 'Since when no hold is placed, by the organiser''s wish; NULL while it is open.';


-- As in 0003, but for closed_at.
CREATE OR REPLACE FUNCTION place_hold(request hold_request, locked uuid[], as_of timestamptz, patient boolean) RETURNS json LANGUAGE plpgsql AS $$
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
    ELSIF event.starts_at <= as_of OR event.closed_at IS NOT NULL THEN
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
