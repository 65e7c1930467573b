"""What docs/capacity.md says, from the figures of one run: ``python -m bench capacity FILE``.

FILE is a file of results that has `ring-cpu` and `sale-cpu`: the CPU of each process for a hold, and for a whole sale.
"""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import NamedTuple

from bench.model import Model, Stage
from bench.results import Results

OURS = {  # how a program of the embedded stack counts
    "reservation-1": "reservation",
    "reservation-2": "reservation",
    "billing-web": "billing web",
    "billing-listener": "billing listener",
}
AT_ONCE = {"postgres": 0, "mariadb": 0, "rabbitmq": 0, "nginx": 0}  # as many cores as there are
OUTSIDE = ("the load", "sandbox", "mail", "auditor")  # buyers, the payment provider: not the shop's machines
SEATS_A_HOLD = 2
TAKES_PART_US = 10.0  # of a hold: a stage that has less of it just woke up beside it, and counts by whole sales
UTILISATION = 0.6  # beyond it queues grow faster than rates

SCALES = {
    "nginx": "more of them, behind DNS or a load balancer",
    "reservation": "more replicas: any number",
    "postgres": "more cores; then shards: each event wholly in one cluster",
    "billing listener": "lanes, spread over listeners",
    "billing web": "more replicas: any number",
    "mariadb": "more cores; then shards, as Postgres",
    "bridge": "lanes, spread over bridges",
    "rabbitmq": "a queue a shard, led by different nodes",
    "portal": "a queue a shard, one portal each",
}


class Show(NamedTuple):
    """What is to be sold in how long."""

    name: str
    seats: int
    seconds: int

    @property
    def holds_per_s(self) -> float:
        return self.seats / SEATS_A_HOLD / self.seconds


SHOWS = (Show("a stadium", 80_000, 60), Show("100 stadiums at once", 8_000_000, 60))


def page(results: Results) -> Iterator[str]:
    """Markdown. Raises KeyError when a goal is missing."""
    goals = {one.name: one for one in results.goals}
    hold, sale = cost_us(goals["ring-cpu"].notes), cost_us(goals["sale-cpu"].notes)
    yield "| stage | CPU of a hold | of a whole sale | one core of it carries | scales by |"
    yield "|---|---|---|---|---|"
    for name in SCALES:
        by_holds = hold.get(name, 0) >= TAKES_PART_US
        most = f"{1e6 / hold[name]:,.0f} holds/s" if by_holds else f"{1e6 / sale[name]:,.0f} sales/s"
        yield f"| {name} | {hold.get(name, 0):,.0f} us | {sale.get(name, 0):,.0f} us | {most} | {SCALES[name]} |"
    yield f"| all | {sum(hold.values()):,.0f} us | {sum(sale.values()):,.0f} us | | |"
    yield ""
    cores = results.machine.cores
    yield f"This machine ({cores} cores, buyers and payment provider on it too): {goals['ring-cpu'].ours:,.0f} holds/s,"
    yield f"{goals['sale-cpu'].ours:,.0f} whole sales/s. Without them: {1e6 * cores / sum(hold.values()):,.0f} and"
    yield f"{1e6 * cores / sum(sale.values()):,.0f}. {narrowest(hold)}"
    yield ""
    yield f"| {SEATS_A_HOLD} seats a sale, {UTILISATION:.0%} busy | sales/s | cores in all | of these, by stage |"
    yield "|---|---|---|---|"
    for show in SHOWS:
        rate = show.holds_per_s
        parts = {name: ceil(rate * us / 1e6 / UTILISATION) for name, us in sale.items() if us >= 1}
        told = ", ".join(f"{name} {count}" for name, count in sorted(parts.items(), key=lambda part: -part[1]))
        what = f"{show.name}: {show.seats:,} seats in {show.seconds} s"
        yield f"| {what} | {rate:,.0f} | {sum(parts.values()):,} | {told} |"


def cost_us(notes: Mapping[str, float | int | str]) -> dict[str, float]:
    """CPU by stage, of the shop's own machines."""
    cost: dict[str, float] = {}
    for note, value in notes.items():
        name = note.removeprefix("CPU of ").removesuffix(", us each")
        if name != note and name not in OUTSIDE:
            stage = OURS.get(name, name)
            cost[stage] = cost.get(stage, 0.0) + float(value)
    return cost


def narrowest(hold: Mapping[str, float]) -> str:
    """Which stage ends first when cores are added to one machine, and all is there once (reservation twice)."""
    stages = [Stage(name, us / (2 if name == "reservation" else 1), AT_ONCE.get(name, 1)) for name, us in hold.items()]
    single = max((stage for stage in stages if stage.at_once), key=lambda stage: stage.cpu_us)
    most = Model([single], 0).most_per_s(1)
    return f"With more cores {single.name} is the first that is full, at {most:,.0f} holds/s."
