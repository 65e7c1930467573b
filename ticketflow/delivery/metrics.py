"""What delivery tells Prometheus. ``stream`` is a name from settings, never from a peer."""

from contextlib import suppress

from prometheus_client import Counter, Gauge

_BY_STREAM = ["stream"]

# the sending end
BACKLOG = Gauge("delivery_backlog_events", "Events committed and not yet acknowledged by the receiver.", _BY_STREAM)
OLDEST_AGE = Gauge("delivery_oldest_age_seconds", "Age of the oldest event that is not acknowledged.", _BY_STREAM)
LAST_SEQ = Gauge("delivery_last_seq", "The last seq stamped.", _BY_STREAM)
ACKED_SEQ = Gauge("delivery_acked_seq", "The last seq acknowledged.", _BY_STREAM)
STAMPED = Counter("delivery_stamped_total", "Events given their seq by this process.", _BY_STREAM)
SENT = Counter("delivery_sent_total", "Events handed to the feed by this process, repeats included.", _BY_STREAM)
LEASE_HELD = Gauge("delivery_lease_held", "1 while this process relays the stream.", _BY_STREAM)
LEASE_CHANGES = Counter("delivery_lease_changes_total", "Leases taken or lost.", ["stream", "change"])
REWINDS = Counter("delivery_rewinds_total", "Receivers found behind what they had acknowledged.", _BY_STREAM)
FORKS = Counter("delivery_forks_total", "Epochs ended because this sender had lost history.", _BY_STREAM)
STREAM_FAULTS = Counter(
    "delivery_stream_faults_total",
    "Sessions ended here: history lost or moved, forked, rewind impossible.",
    ["stream", "fault"],
)
RELAY_RETRIES = Counter(
    "delivery_relay_retries_total", "Sessions that ended with an error, by its type.", ["stream", "error"]
)
LANES = Gauge("delivery_lanes", "Into how many lanes the stream is split.", _BY_STREAM)
BARRIER_WAITS = Counter(
    "delivery_barrier_waits_total", "Barriers refused because another lane has lost history first.", _BY_STREAM
)
PURGED = Counter("delivery_purged_total", "Rows purged after the retention time.", ["table"])

# the receiving end
APPLIED = Counter("delivery_applied_total", "Events whose effect was committed.", _BY_STREAM)
BATCHES = Counter("delivery_batches_total", "Transactions that committed effects.", _BY_STREAM)
FALLBACKS = Counter("delivery_batches_failed_total", "Transactions run again one event at a time.", _BY_STREAM)
DUPLICATES = Counter("delivery_duplicates_total", "Events dropped because their id was known.", _BY_STREAM)
IGNORED = Counter("delivery_ignored_total", "Events of a kind that this version does not know.", _BY_STREAM)
PARKED = Counter("delivery_parked_total", "Events set aside, by reason.", ["stream", "reason"])
PARKED_NOW = Gauge("delivery_parked_events", "Events that are parked now, by reason.", ["stream", "reason"])
PARKED_OLDEST = Gauge("delivery_parked_oldest_seconds", "How long the oldest of them has been.", ["stream", "reason"])
PARKED_HANDLED = Counter(
    "delivery_parked_handled_total",
    "Parked events that people handled by command (result: requeued, failed, discarded), as the audit table has it.",
    ["stream", "result"],
)
REFUSED = Counter("delivery_refused_total", "Senders or batches refused, by code.", ["stream", "code"])
INBOX_RETRIES = Counter(
    "delivery_inbox_retries_total", "Transactions run again, by the type of the fault.", ["stream", "fault"]
)
PHANTOMS = Counter("delivery_phantoms_total", "Events whose sender no longer has them.", _BY_STREAM)
REPLAYS = Counter("delivery_replays_total", "Watermarks lowered so that a hole is filled.", _BY_STREAM)
WATERMARK = Gauge("delivery_watermark", "The last seq applied without a gap.", _BY_STREAM)

# both
HOLES = Counter("delivery_holes_total", "Ranges of seqs found missing.", ["stream", "side"])
HOLES_ENDED = Counter("delivery_holes_ended_total", "Holes that were filled, or given up.", ["stream", "outcome"])
COUNTED = Counter("delivery_counted_seqs_total", "Seqs that were counted in search of holes.", ["stream", "side"])
UNRESOLVED = Gauge("delivery_unresolved", "Forks, phantoms and holes that nobody has settled.", ["stream", "what"])


def forget(stream: str) -> None:
    """Of a lane that is relayed no more: its gauges."""
    for gauge in (BACKLOG, OLDEST_AGE, LAST_SEQ, ACKED_SEQ, LEASE_HELD):
        with suppress(KeyError):
            gauge.remove(stream)
