-- depends: 0004_places_instead
-- What may become of the places of a paid hold: moved to others when it was paid late, on sale again when it was given back.

ALTER TABLE holds ADD COLUMN moved boolean NOT NULL DEFAULT false;
ALTER TABLE holds ADD CONSTRAINT holds_moved CHECK (NOT moved OR (late = 'same_tier' AND state = 'SOLD')) NOT VALID;  -- no row to look at: all are new to it

COMMENT ON COLUMN holds.moved IS 'Whether it was sold other places than it had asked for; its lines are the new ones.';

ALTER TABLE hold_units ADD COLUMN return_id uuid;
ALTER TABLE hold_units ADD CONSTRAINT hold_units_returned CHECK (return_id IS NULL OR NOT sold) NOT VALID;

COMMENT ON COLUMN hold_units.return_id IS 'The return (a refund, or an order that failed) that put the place on sale again after it was sold to this hold.';
