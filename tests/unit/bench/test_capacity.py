"""The tables of docs/capacity.md, from measured figures."""

from bench.capacity import cost_us, narrowest, page
from bench.results import Result, Results
from drills.machine import Machine

HOLD = {
    "CPU of postgres, us each": 300.0,
    "CPU of reservation-1, us each": 100.0,
    "CPU of reservation-2, us each": 100.0,
    "CPU of billing-listener, us each": 150.0,
    "CPU of the load, us each": 80.0,
    "rounds": 5,
}
SALE = {**HOLD, "CPU of mariadb, us each": 1000.0, "CPU of billing-web, us each": 600.0}


def result(name: str, notes: dict[str, float]) -> Result:
    return Result(
        name=name,
        ours=1000.0,
        other=1200.0,
        ratio=0.83,
        goal=0.75,
        met=True,
        reach="at least",
        unit="holds/s",
        against="the CPU",
        rounds=5,
        notes=notes,
    )


def test_programs_become_stages_and_buyers_are_left_out() -> None:
    assert cost_us(HOLD) == {"postgres": 300, "reservation": 200, "billing listener": 150}


def test_the_first_to_be_full_is_the_dearest_single_process() -> None:
    assert narrowest(cost_us(HOLD)) == "With more cores billing listener is the first that is full, at 6,667 holds/s."


def test_a_stadium_is_told_in_cores_by_stage() -> None:
    every = {f"CPU of {name}, us each": 10.0 for name in ("nginx", "bridge", "rabbitmq", "portal")}
    goals = [result("ring-cpu", HOLD), result("sale-cpu", SALE | every)]
    lines = list(page(Results(Machine(2, 24000, "a processor", "6.1", ""), goals)))
    [stadium] = [line for line in lines if "80,000 seats" in line]
    # 80,000 seats, two a sale, in 60 s: 667 sales a second; mariadb 667 x 1 ms / 0.6 = 1.1 cores, so 2.
    assert stadium.startswith("| a stadium: 80,000 seats in 60 s | 667 | ")
    assert "mariadb 2" in stadium


def test_a_stage_that_has_no_part_in_a_hold_is_told_in_sales() -> None:
    every = {f"CPU of {name}, us each": 10.0 for name in ("mariadb", "nginx", "bridge", "rabbitmq", "portal")}
    hold = HOLD | every | {"CPU of billing-web, us each": 1.4}  # it woke up once while others placed holds
    goals = [result("ring-cpu", hold), result("sale-cpu", SALE | every)]
    lines = list(page(Results(Machine(2, 24000, "a processor", "6.1", ""), goals)))
    [web] = [line for line in lines if line.startswith("| billing web")]
    assert web == "| billing web | 1 us | 600 us | 1,667 sales/s | more replicas: any number |"
