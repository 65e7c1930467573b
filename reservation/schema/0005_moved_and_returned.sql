-- depends: 0004_places_instead
-- What may become of a hold that is paid: moved to other places when it was paid late, lost to some of its payments, on sale again when it
-- was given back.

ALTER TABLE holds ADD COLUMN moved boolean NOT NULL DEFAULT false;
ALTER TABLE holds ADD CONSTRAINT holds_moved CHECK (NOT moved OR (late = 'same_tier' AND state = 'SOLD')) NOT VALID;  -- no row to look at: all are new to it

ALTER TABLE holds ADD COLUMN lost_payments uuid[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN holds.lost_payments IS 'Payments that came while its places could not be had. Should one be asked about again it is lost again, whatever is free by then.';
COMMENT ON COLUMN holds.moved IS 'Whether it was sold other places than it had asked for; its lines are the new ones.';

ALTER TABLE hold_units ADD COLUMN return_id uuid;
ALTER TABLE hold_units ADD CONSTRAINT hold_units_returned CHECK (return_id IS NULL OR NOT sold) NOT VALID;

COMMENT ON COLUMN hold_units.return_id IS 'The return (a refund, or an order that failed) that put the place on sale again after it was sold to this hold.';
