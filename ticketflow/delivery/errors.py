"""The error tree of delivery. Store faults are not here: they are runtime's Unavailable and Indefinite.

DeliveryFault
+-- LeaseLost             the right to relay is gone: stop, acquire again
+-- StreamFault           the stream cannot go on by itself; the relay keeps asking, slowly
    +-- HistoryMoved      the store was set back, or its epoch changed, under a live session: connect again
    +-- StreamHistoryLost the receiver knows more than this sender: the sender was restored to an older state
    +-- RewindImpossible  the receiver wants events that this sender no longer keeps
Poison                    raised by a handler: this event can never be applied
"""


class DeliveryFault(Exception):
    """Something delivery itself found wrong."""


class LeaseLost(DeliveryFault):
    """The lease ran out, or another owner has it."""


class StreamFault(DeliveryFault):
    """The two ends of a stream do not fit together. ``action`` is the stable name it is logged under."""

    action = "stream_fault"


class HistoryMoved(StreamFault):
    """This end is no longer where its session began: nothing may be stamped before the receiver has been asked."""

    action = "history_moved"


class StreamHistoryLost(StreamFault):
    """The receiver's position is not in this sender's history; sending would put other events under known seqs."""

    action = "stream_history_lost"


class RewindImpossible(StreamFault):
    """The receiver lost history, and the outbox no longer keeps (or never had) the events to replay."""

    action = "rewind_impossible"


class Poison(Exception):  # raised by services, in their own words: not a fault of delivery
    """A handler's verdict that its event can never be applied. The message is kept as the reason."""
