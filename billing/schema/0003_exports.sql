-- What the exports page through: the orders of one event by their ids.
CREATE INDEX IF NOT EXISTS orders_export ON orders (event_id, order_id);
