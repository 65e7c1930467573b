"""Goals on a hot event of 500 seats: `holds-hot`, against pgbench, and `hot-event`, 10,000 buyers who come at once."""

import random
from collections import Counter
from itertools import count
from statistics import median, quantiles

from bench import holds_pgbench
from bench.goal import Measured, Round
from bench.holds_hall import Hall
from bench.holds_load import Answered, Told
from bench.holds_shop import CONNECTIONS, ask, opened
from bench.run import Run

SEATS = 500
REQUESTS = 6_400  # for two seats each: of both sides the same share is refused
LONG_S = 60.0

BUYERS = 10_000  # one seat each
CROWD = 512  # of them at a time: the front lets no more in than its connections
ANSWERED_S = 10.0


async def against_pgbench(run: Run) -> Measured:
    """Requests decided a second, from the first seat of an event to long after the last."""
    async with opened(run) as shop, shop.reservation() as port:
        numbers = count()
        refused: list[float] = []

        async def hot() -> Hall:
            hall = Hall(next(numbers), SEATS)
            await hall.build(shop.conn)
            return hall

        async def ours() -> float:
            hall = await hot()
            told = await ask(port, hall.event_id, hall.any_pairs(next(numbers), REQUESTS), LONG_S)
            assert set(told.statuses) == {201, 409}, told.statuses
            assert sum(told.statuses.values()) == REQUESTS
            await hall.check(shop.conn, told.statuses[201])
            refused.append(told.statuses[409] / REQUESTS)
            return REQUESTS / told.took_s

        async def pgbench() -> float:
            hall = await hot()
            each = REQUESTS // CONNECTIONS
            done = await holds_pgbench.run(shop.dsn, shop.folder, hall, seed=next(numbers), each=each, fresh=False)
            await hall.check(shop.conn, await hall.holds(shop.conn))
            return done.per_s

        rounds = await run.interleaved(ours, pgbench)
        return Measured(rounds, {"refused of ours, %": 100 * median(refused)})


async def crowd(run: Run) -> Measured:
    """Seconds until all of them have their answer, against ANSWERED_S."""
    rounds: list[Round] = []
    notes: list[dict[str, float]] = []
    async with opened(run) as shop, shop.reservation() as port:
        for number in range(run.rounds + 1):
            hall = Hall(number, SEATS)
            await hall.build(shop.conn)
            chance = random.Random(number)
            wishes = [[hall.seat(chance.randrange(SEATS))] for _ in range(BUYERS)]
            told = await ask(port, hall.event_id, wishes, LONG_S, CROWD)
            assert sum(told.statuses.values()) == BUYERS, told.statuses
            assert set(told.statuses) <= {201, 409, 503}, told.statuses
            await hall.check(shop.conn, told.statuses[201], seats_a_hold=1)
            wanted = {seat for [seat] in wishes}
            assert told.statuses[201] == len(wanted), "a seat that somebody wanted was not sold"
            winners = [one for one in told.answers if one.status == 201]
            losers = [one for one in told.answers if one.status != 201]
            sold_out_s = max(one.answered_s for one in winners)
            if number == 0:
                continue  # warming up
            rounds.append(Round(told.took_s, ANSWERED_S))
            times = {
                "sold out, s": sold_out_s,
                "p99 of losers, ms": p99_ms(losers),
                "p99 of winners, ms": p99_ms(winners),
            }
            notes.append(times | fairness(told, wishes))
            run.tell(f"round {number} of {run.rounds}: all answered after {told.took_s:.2f} s; {notes[-1]}")
    return Measured(rounds, {name: median(note[name] for note in notes) for name in notes[0]})


def p99_ms(answers: list[Answered]) -> float:
    return 1000 * quantiles([one.answered_s - one.asked_s for one in answers], n=100)[98]


def fairness(told: Told, wishes: list[list[str]]) -> dict[str, float]:
    """Who wins a seat, by how many had asked for it before him; and how long anybody waited."""
    winners = {wishes[one.number][0]: one.number for one in told.answers if one.status == 201}
    before = Counter(wishes[one.number][0] for one in told.answers if one.number < winners[wishes[one.number][0]])
    return {
        "winners who were the first to ask, %": 100 * (1 - len(before) / len(winners)),
        "most who asked before a winner": float(max(before.values(), default=0)),
        "longest wait, ms": 1000 * max(one.answered_s - one.asked_s for one in told.answers),
        "503 too_busy": float(told.statuses.get(503, 0)),
    }
