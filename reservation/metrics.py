"""What this service counts beside what every process counts."""

from ticketflow.runtime import metrics

DECISIONS = metrics.counter("reservation_decisions_total", "Requests for a hold, by what they were told", ("outcome",))
ENDED = metrics.counter("reservation_holds_ended_total", "Holds that ended without a sale: released, expired", ("how",))
CONTENDED = metrics.counter("reservation_contended_total", "Requests asked again: others had their hands on it")
ALONE = metrics.counter("reservation_alone_total", "Requests for a hold that were decided alone, by why", ("reason",))
MAP_READS = metrics.counter(
    "reservation_map_reads_total",
    "Reads of what is shown from memory, by where the answer came from: memory, waited, fresh, stale, refused",
    ("what", "how"),
)
MAP_REFRESHES = metrics.counter(
    "reservation_map_refreshes_total",
    "Times that what is shown was read: from the primary, a replica; and how often a replica was behind, or away",
    ("source",),
)
MAP_BYTES = metrics.gauge("reservation_map_bytes", "Bytes of what is shown that are kept in memory, at most", ("what",))
