-- What can be sold: venues, halls, ticketed events, price tiers, and every single place.
-- All ids are UUIDv7 made by the service. A catalogue row is never changed by a sale.

CREATE TABLE venues (
    venue_id   uuid PRIMARY KEY,
    name       text NOT NULL CHECK (name <> ''),
    city       text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

COMMENT ON TABLE venues IS 'Places where events happen; each has one or more halls.';
COMMENT ON COLUMN venues.venue_id IS 'UUIDv7.';
COMMENT ON COLUMN venues.name IS 'As shown to buyers.';
COMMENT ON COLUMN venues.city IS 'As shown to buyers; NULL when not given.';
COMMENT ON COLUMN venues.created_at IS 'By the clock of this database.';

CREATE TABLE halls (
    hall_id    uuid PRIMARY KEY,
    venue_id   uuid NOT NULL REFERENCES venues,
    name       text NOT NULL CHECK (name <> ''),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX halls_venue ON halls (venue_id);

COMMENT ON TABLE halls IS 'A hall of a venue: the rows that events in it may sell.';
COMMENT ON COLUMN halls.hall_id IS 'UUIDv7.';
COMMENT ON COLUMN halls.venue_id IS 'The venue it belongs to.';
COMMENT ON COLUMN halls.name IS 'As shown to buyers.';
COMMENT ON COLUMN halls.created_at IS 'By the clock of this database.';

CREATE TABLE hall_rows (
    hall_id  uuid NOT NULL REFERENCES halls,
    row_name text NOT NULL CHECK (row_name <> ''),
    position integer NOT NULL CHECK (position >= 0),
    seats    integer NOT NULL CHECK (seats > 0),
    PRIMARY KEY (hall_id, row_name),
    UNIQUE (hall_id, position)
);

COMMENT ON TABLE hall_rows IS 'The rows of numbered seats of a hall; the seats of a row are numbered from 1.';
COMMENT ON COLUMN hall_rows.hall_id IS 'The hall it stands in.';
COMMENT ON COLUMN hall_rows.row_name IS 'What stands on the ticket before the number: A gives A-1, A-2.';
COMMENT ON COLUMN hall_rows.position IS 'Order of the rows from the stage, from 0.';
COMMENT ON COLUMN hall_rows.seats IS 'How many seats it has.';

CREATE TABLE events (
    event_id           uuid PRIMARY KEY,
    hall_id            uuid NOT NULL REFERENCES halls,
    name               text NOT NULL CHECK (name <> ''),
    starts_at          timestamptz NOT NULL,
    currency           text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    hold_ttl_s         integer NOT NULL CHECK (hold_ttl_s BETWEEN 5 AND 1800),
    grace_s            integer NOT NULL CHECK (grace_s BETWEEN 0 AND 600),
    seats_per_hold_max integer NOT NULL CHECK (seats_per_hold_max BETWEEN 1 AND 50),
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX events_hall ON events (hall_id);

COMMENT ON TABLE events IS 'Ticketed events. No sale ever locks or updates one of these rows.';
COMMENT ON COLUMN events.event_id IS 'UUIDv7.';
COMMENT ON COLUMN events.hall_id IS 'Where it happens.';
COMMENT ON COLUMN events.name IS 'As shown to buyers.';
COMMENT ON COLUMN events.starts_at IS 'No hold is placed from then on.';
COMMENT ON COLUMN events.currency IS 'ISO 4217; every price of the event is in its minor units.';
COMMENT ON COLUMN events.hold_ttl_s IS 'How long a buyer may begin to pay, in seconds.';
COMMENT ON COLUMN events.grace_s IS 'How much longer the seats stay the buyer''s, in seconds, so that a sale paid in time survives a failover.';
COMMENT ON COLUMN events.seats_per_hold_max IS 'The most places one hold may have.';
COMMENT ON COLUMN events.created_at IS 'By the clock of this database.';

CREATE TABLE tiers (
    tier_id     uuid PRIMARY KEY,
    event_id    uuid NOT NULL REFERENCES events,
    position    integer NOT NULL CHECK (position >= 0),
    name        text NOT NULL CHECK (name <> ''),
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    numbered    boolean NOT NULL,
    capacity    integer NOT NULL CHECK (capacity > 0),
    UNIQUE (event_id, name),
    UNIQUE (event_id, position),
    UNIQUE (tier_id, event_id)  -- for the foreign key of units
);

COMMENT ON TABLE tiers IS 'Price tiers of an event: numbered seats, or general admission with a capacity.';
COMMENT ON COLUMN tiers.tier_id IS 'UUIDv7.';
COMMENT ON COLUMN tiers.event_id IS 'The event it belongs to.';
COMMENT ON COLUMN tiers.position IS 'Order as given by the organiser, from 0.';
COMMENT ON COLUMN tiers.name IS 'Names the tier within its event, to buyers and in requests.';
COMMENT ON COLUMN tiers.price_minor IS 'Price of one place, in minor units of the event''s currency.';
COMMENT ON COLUMN tiers.numbered IS 'Whether buyers choose seats; else they say how many.';
COMMENT ON COLUMN tiers.capacity IS 'How many places it has; as many rows of units name it.';
