-- depends: 0001_catalogue
-- Who has what: holds, their lines, and the owner of every place.

CREATE TABLE holds (
    hold_id     uuid PRIMARY KEY,
    event_id    uuid NOT NULL,  -- no foreign key: its check would write a share lock into the one row every buyer of an event shares
    buyer_id    text NOT NULL,
    state       text NOT NULL DEFAULT 'HELD' CHECK (state IN ('HELD', 'RELEASED', 'EXPIRED', 'SOLD')),
    total_minor bigint NOT NULL CHECK (total_minor >= 0),
    currency    text NOT NULL,
    late        text NOT NULL CHECK (late IN ('refund', 'same_tier')),
    payment_id  uuid,
    placed_at   timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    held_until  timestamptz NOT NULL,
    ended_at    timestamptz,
    CHECK (placed_at < expires_at AND expires_at <= held_until),
    CHECK ((state = 'SOLD') = (payment_id IS NOT NULL)),
    CHECK ((state = 'HELD') = (ended_at IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX holds_due ON holds (held_until) WHERE state = 'HELD';
CREATE INDEX holds_over ON holds (ended_at) WHERE state IN ('RELEASED', 'EXPIRED');

COMMENT ON TABLE holds IS 'Claims on places. A hold is also an order of billing, under the same id.';
COMMENT ON COLUMN holds.hold_id IS 'UUIDv7; its token is an HMAC of it and stored nowhere.';
COMMENT ON COLUMN holds.event_id IS 'The ticketed event all its places belong to.';
COMMENT ON COLUMN holds.buyer_id IS 'The opaque name of the buyer.';
COMMENT ON COLUMN holds.state IS 'HELD, RELEASED by the buyer, EXPIRED by the sweeper, SOLD. A HELD row past held_until is over all the same.';
COMMENT ON COLUMN holds.total_minor IS 'Sum of the lines, in minor units.';
COMMENT ON COLUMN holds.currency IS 'ISO 4217, the event''s.';
COMMENT ON COLUMN holds.late IS 'What the buyer agreed to, should the seats be gone when the money arrives.';
COMMENT ON COLUMN holds.payment_id IS 'The one payment it was sold to.';
COMMENT ON COLUMN holds.placed_at IS 'By the clock of this database, read after the places were locked.';
COMMENT ON COLUMN holds.expires_at IS 'No payment may be started from then on.';
COMMENT ON COLUMN holds.held_until IS 'expires_at and the grace: from then on anybody may take the places.';
COMMENT ON COLUMN holds.ended_at IS 'When it left HELD.';

CREATE TABLE units (
    unit_id    uuid PRIMARY KEY,
    event_id   uuid NOT NULL,
    tier_id    uuid NOT NULL,
    label      text NOT NULL,
    row_name   text,
    number     integer,
    state      text NOT NULL DEFAULT 'free' CHECK (state IN ('free', 'held', 'sold')),
    hold_id    uuid,
    held_until timestamptz,
    UNIQUE (event_id, row_name, number),
    FOREIGN KEY (tier_id, event_id) REFERENCES tiers (tier_id, event_id),
    CHECK ((row_name IS NULL) = (number IS NULL)),
    CONSTRAINT units_one_owner CHECK (
        CASE state
            WHEN 'free' THEN hold_id IS NULL AND held_until IS NULL
            WHEN 'held' THEN hold_id IS NOT NULL AND held_until IS NOT NULL
            ELSE hold_id IS NOT NULL AND held_until IS NULL
        END)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

-- General admission takes any free place of a tier, then any whose hold is over: each an index of its own, so that neither search
-- ever walks over the places that are sold or held.
CREATE INDEX units_general_free ON units (tier_id, unit_id) WHERE row_name IS NULL AND state = 'free';
CREATE INDEX units_general_held ON units (tier_id, held_until) WHERE row_name IS NULL AND state = 'held';

COMMENT ON TABLE units IS 'Every place that can be sold, one row each: numbered seats and general admission alike.';
COMMENT ON COLUMN units.unit_id IS 'UUIDv7. Places are locked in the order of this column, everywhere.';
COMMENT ON COLUMN units.event_id IS 'The event that sells it.';
COMMENT ON COLUMN units.tier_id IS 'Its price tier.';
COMMENT ON COLUMN units.label IS 'What stands on the ticket: A-12, or the tier''s name.';
COMMENT ON COLUMN units.row_name IS 'Row of a numbered seat; NULL in general admission.';
COMMENT ON COLUMN units.number IS 'Number of the seat in its row; NULL in general admission.';
COMMENT ON COLUMN units.state IS 'free, held, sold. Held past held_until is as good as free.';
COMMENT ON COLUMN units.hold_id IS 'The one owner, and the fence: whoever frees or sells a place does so WHERE hold_id is his.';
COMMENT ON COLUMN units.held_until IS 'Copy of the hold''s, so that a place can be judged without reading the hold.';

CREATE TABLE hold_units (
    hold_id     uuid NOT NULL REFERENCES holds,
    unit_id     uuid NOT NULL REFERENCES units,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    sold        boolean NOT NULL DEFAULT false,
    PRIMARY KEY (hold_id, unit_id)
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX hold_units_sold_once ON hold_units (unit_id) WHERE sold;

COMMENT ON TABLE hold_units IS 'The lines of a hold. They stay when it ends; who owns a place now is said by units.hold_id alone.';
COMMENT ON COLUMN hold_units.hold_id IS 'The hold.';
COMMENT ON COLUMN hold_units.unit_id IS 'The place.';
COMMENT ON COLUMN hold_units.price_minor IS 'Price at the time of the hold, in minor units.';
COMMENT ON COLUMN hold_units.sold IS 'Whether the place was sold to this hold; unique over all holds, so that no place can be sold twice.';

-- An owner must have the place among his lines.
ALTER TABLE units ADD CONSTRAINT units_owner_has_line FOREIGN KEY (hold_id, unit_id) REFERENCES hold_units;

CREATE FUNCTION refuse_change_of_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'place % belongs to hold % and cannot go to hold %', OLD.unit_id, OLD.hold_id, NEW.hold_id
        USING ERRCODE = 'exclusion_violation', CONSTRAINT = 'units_change_of_owner';
END $$;

COMMENT ON FUNCTION refuse_change_of_owner() IS 'Refuses an update that takes a place from its owner.';

CREATE TRIGGER units_change_of_owner BEFORE UPDATE ON units FOR EACH ROW
    WHEN (NEW.hold_id <> OLD.hold_id AND (OLD.state = 'sold' OR OLD.held_until > clock_timestamp()))
    EXECUTE FUNCTION refuse_change_of_owner();

COMMENT ON TRIGGER units_change_of_owner ON units IS 'A place goes from one hold to another only when the first hold''s time is over, and never when it is sold.';

CREATE TABLE idempotency (
    scope       text NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    hold_id     uuid,
    refusal     json,
    answer      json,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (scope, key),
    CHECK (num_nonnulls(refusal, answer) <= 1)
) WITH (fillfactor = 80);

CREATE INDEX idempotency_created ON idempotency (created_at);

COMMENT ON TABLE idempotency IS 'What was answered to each Idempotency-Key; kept for a day at least.';
COMMENT ON COLUMN idempotency.scope IS 'The kind of request: holds, venues, halls, events.';
COMMENT ON COLUMN idempotency.key IS 'The client''s Idempotency-Key.';
COMMENT ON COLUMN idempotency.fingerprint IS 'SHA-256 of the request; another one under the same key is refused.';
COMMENT ON COLUMN idempotency.hold_id IS 'In scope holds: the hold. Without a refusal it exists, and the answer is read from it again.';
COMMENT ON COLUMN idempotency.refusal IS 'In scope holds: why there is no hold; a code and what belongs to it.';
COMMENT ON COLUMN idempotency.answer IS 'In the other scopes: the body of the answer, as it was sent.';
COMMENT ON COLUMN idempotency.created_at IS 'By the clock of this database.';
