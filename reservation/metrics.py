"""What this service counts beside what every process counts."""

from ticketflow.runtime import metrics

DECISIONS = metrics.counter("reservation_decisions_total", "Requests for a hold, by what they were told", ("outcome",))
ENDED = metrics.counter("reservation_holds_ended_total", "Holds that ended without a sale: released, expired", ("how",))
CONTENDED = metrics.counter("reservation_contended_total", "Requests asked again: others had their hands on it")
ALONE = metrics.counter("reservation_alone_total", "Requests for a hold that were decided alone, by why", ("reason",))
