"""What the bridge tells Prometheus."""

from ticketflow.runtime.metrics import counter, gauge, histogram

PUBLISHED = counter("bridge_published_total", "Events that RabbitMQ has confirmed, repeats included.")
UNDECODABLE = counter("bridge_undecodable_total", "Events passed on under the routing key `undecodable`.")
RETRIES = counter("bridge_publish_retries_total", "Attempts that were not confirmed in full, by fault.", ["fault"])
STALLED = gauge("bridge_stalled", "1 while RabbitMQ takes no events and the feed is held up.")
CONFIRM_SECONDS = histogram("bridge_confirm_seconds", "From a batch's arrival to its last confirm, retries included.")
REWINDS_ORDERED = counter("bridge_rewinds_ordered_total", "Orders to answer a sender's next HELLO with a watermark.")
NOTICES = counter("bridge_notices_total", "Positions of senders that RabbitMQ has confirmed.")
