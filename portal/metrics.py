"""What the portal tells Prometheus."""

from ticketflow.runtime.metrics import counter, gauge, histogram

APPLIED = counter("portal_events_applied_total", "Events folded into the sales, by kind.", ["kind"])
DUPLICATES = counter("portal_events_duplicate_total", "Events that had been applied before.")
IGNORED = counter("portal_events_ignored_total", "Events of kinds that say nothing to a buyer, unknown ones included.")
PARKED = counter("portal_events_parked_total", "Messages set aside, by reason.", ["reason"])
SETTLES = counter("portal_settles_staged_total", "Commands sale.settle staged for reservation.")
BATCH_SECONDS = histogram("portal_batch_seconds", "One transaction of applied messages.")
BATCH_EVENTS = histogram("portal_batch_events", "Messages in a transaction.", buckets=(1, 2, 5, 10, 20, 50, 100, 200))
CONSUMING = gauge("portal_consuming", "1 while a consumer is registered at the queue.")
QUEUE_MESSAGES = gauge("portal_queue_ready_messages", "Messages in the queue that wait for a consumer.")
STORE_WAITS = counter("portal_store_waits_total", "Batches that had to wait for the database, by fault.", ["fault"])
PARKED_NOW = gauge("portal_parked_messages", "Messages that are set aside and wait for a person.")
