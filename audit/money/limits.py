"""How long things may take before they are a difference, and how much is done at once. Pure."""

from dataclasses import dataclass

PAGE = 500  # sales a page
DIFFERENCES_MAX = 10_000  # that are named; more are counted
SUSPECTS_MAX = 2_000  # sales that wait for the second look: with more, the round waits for it


@dataclass(frozen=True)
class Limits:
    """In seconds. ``grace_s``: since the last change of a sale anywhere; more than events take, the grace of a failover
    included. ``confirm_s``: between the two looks. ``stuck_s``: in a state that is to pass. ``recent_s``: of older
    payments the provider is not asked, unless it is asked about all. ``provider_rate``: questions a second."""

    grace_s: float = 60.0
    confirm_s: float = 5.0
    stuck_s: float = 900.0
    recent_s: float = 172_800.0
    provider_rate: float = 20.0
