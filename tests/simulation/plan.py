"""The plan of the simulated house: names, and the product's settings, all of them short."""

from ticketflow.feed import Limits

STREAM = "orders"
KEYS = "abcd"
PORT = 1
OPERATOR = "operator"  # whoever types the services' commands
LANES = (1, 2, 3, 4)  # what the number of lanes is changed to
LEASE_TTL_S = 1.5
PATIENCE_S = 3.0
RETENTION_EVERY_S = 1.0
COUNT_EVERY_S = 1.5  # looks for holes
RECOUNT_EVERY_S = 5.0  # from the beginning, instead of once a day
RANGE_SEQS = 10

LIMITS = Limits(
    window_events=12,
    batch_events_max=6,
    ping_interval_s=0.5,
    idle_timeout_s=2.0,
    frame_timeout_s=1.5,
    hello_timeout_s=1.0,
    decide_timeout_s=2.0,
    connect_timeout_s=1.0,
    welcome_timeout_s=3.5,
    unavailable_retry_s=0.1,
    frame_target_bytes=600,
    write_buffer_bytes=1500,
    linger_s=0.3,
    connection_lost_s=0.5,
)
