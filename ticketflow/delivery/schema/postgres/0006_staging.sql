-- Staging for functions: what decides in the database can tell of it in the same statement.

-- Inserts events of one kind, in order, into the outbox, in the caller's transaction; for callers who hold a lock on each key's aggregate.
CREATE FUNCTION delivery_stage(of_stream text, of_kind text, event_ids uuid[], keys text[], bodies bytea[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    largest integer := (SELECT max(octet_length(body)) FROM unnest(bodies) AS body);
BEGIN
    IF largest > 65536 THEN  -- EVENT_BYTES_MAX of ticketflow/events/envelope.py
        RAISE EXCEPTION 'an event % has % bytes; at most 65536 are allowed', of_kind, largest USING ERRCODE = 'program_limit_exceeded';
    END IF;
    INSERT INTO delivery_outbox (stream, event_id, event_key, kind, body)
    SELECT of_stream, event_id, event_key, of_kind, body
      FROM unnest(event_ids, keys, bodies) WITH ORDINALITY AS event (event_id, event_key, body, n) ORDER BY n;
END $$;
