"""What the auditor's watch says each second, and what a steady cluster looks like. Pure."""

from collections.abc import Mapping

import msgspec

from drills.history import Places, Sample, StreamAt

OLD_S = 5.0  # an observation that old says nothing about now


class Observation(msgspec.Struct, frozen=True, omit_defaults=True):
    """``at_s``: Unix time. What could not be seen is missing from the rest, and named in ``unseen`` with the reason.

    ``present``: members that take part, by tier ("postgres standbys": 2). ``undecided``: of the drill's event, how many
    holds, orders, payments and sales have not ended. ``queued``: messages in RabbitMQ, by queue. ``rewinds``: counted
    since the watch began, by stream.
    """

    at_s: float
    roles: dict[str, str] = {}
    present: dict[str, int] = {}
    backlog: dict[str, int] = {}
    streams: dict[str, StreamAt] = {}
    places: Places | None = None
    undecided: dict[str, int] = {}
    queued: dict[str, int] = {}
    parked: dict[str, int] = {}
    rewinds: dict[str, int] = {}
    unseen: dict[str, str] = {}

    def sample(self, at_s: float) -> Sample:
        """For the history; ``at_s``: the same moment by the drill's clock."""
        return Sample(at_s, self.roles, self.backlog, self.streams, self.places)


# Everything in: what the whole topology shows when nothing is wrong with it.
WHOLE: Mapping[str, int] = {
    "etcd members": 3,
    "postgres standbys": 2,
    "galera nodes": 3,
    "rabbitmq nodes": 3,
    "rabbitmq queue members": 3,
}


def missing(seen: Observation | None, now_s: float, whole: Mapping[str, int] = WHOLE) -> list[str]:
    """Who is not in his place, in words; empty when everybody is, whatever is under way. ``now_s``: Unix time."""
    if seen is None or now_s - seen.at_s > OLD_S:
        return ["the auditor has not been heard of"]
    problems = [f"{what} cannot be seen: {why}" for what, why in seen.unseen.items()]
    return problems + [
        f"{seen.present.get(what, 0)} {what}, not {count}"
        for what, count in whole.items()
        if seen.present.get(what, 0) != count
    ]


def waiting(seen: Observation) -> list[str]:
    """What is on its way, or has not been decided: empty when the drain is over."""
    return [
        *(f"{count} events wait in {name}" for name, count in seen.backlog.items() if count),
        *(f"{count} messages wait in {name}" for name, count in seen.queued.items() if count),
        *(f"{count} {what} undecided" for what, count in seen.undecided.items() if count),
    ]
