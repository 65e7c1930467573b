"""What the portal tells Prometheus."""

from ticketflow.runtime.metrics import counter, gauge, histogram

APPLIED = counter("portal_events_applied_total", "Events folded into the sales, by kind.", ["kind"])
DUPLICATES = counter("portal_events_duplicate_total", "Events that had been applied before.")
IGNORED = counter("portal_events_ignored_total", "Events of kinds that say nothing to a buyer, unknown ones included.")
PARKED = counter("portal_events_parked_total", "Messages set aside, by reason.", ["reason"])
SETTLES = counter("portal_settles_staged_total", "Commands sale.settle staged for reservation.")
RETURNS = counter("portal_returns_staged_total", "Commands sale.return staged for reservation.")
BATCH_SECONDS = histogram("portal_batch_seconds", "One transaction of applied messages.")
BATCH_EVENTS = histogram(
    "portal_batch_events", "Messages in a transaction.", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
CONSUMING = gauge("portal_consuming", "1 while a consumer is registered at the queue.")
QUEUE_MESSAGES = gauge("portal_queue_ready_messages", "Messages in the queue that wait for a consumer.")
STORE_WAITS = counter("portal_store_waits_total", "Batches that had to wait for the database, by fault.", ["fault"])
WATERMARK = gauge("portal_stream_watermark", "Every event of the stream up to this seq is settled here.", ["stream"])
MISSING = gauge("portal_stream_missing_events", "Events that exist and have not come (yet).", ["stream"])
STUCK = gauge("portal_stream_stuck", "1 after several requests for a replay that brought nothing.", ["stream"])
REQUESTS = counter("portal_replay_requests_total", "Requests to send events again.", ["stream", "outcome"])
HOLES = counter("portal_holes_noted_total", "Ranges of events that no replay has brought.", ["stream"])
PHANTOMS = counter("portal_phantoms_total", "Applied events that their sender has lost; each is noted.")
FOLLOWED = counter("portal_forks_followed_total", "New epochs of senders that had lost history.", ["stream"])
PARKED_NOW = gauge("portal_parked_messages", "Messages that are set aside and wait for a person.")
MAILS = counter("portal_mails_total", "Mails that were taken to be sent, by what became of it.", ["outcome"])
MAILS_WAITING = gauge("portal_mails_waiting", "Mails that are still to be sent.")
