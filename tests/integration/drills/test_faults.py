"""The nemesis, on real containers: each fault does what it says, and healing takes it back."""

import random
from collections.abc import AsyncIterator

import pytest

from drills.errors import NemesisFailed
from drills.faults import (
    Anyone,
    CutOff,
    Fault,
    NodeFrozen,
    NodeKilled,
    NodeRestarted,
    NodeStopped,
    ProcessKilled,
    Role,
    Services,
    Slow,
)
from tests.integration.drills.field import PORT, Field, docker_answers, open_field
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.skipif(not docker_answers(), reason="no Docker engine answers here"),
    pytest.mark.timeout(300),  # the image of the nemesis may have to be built first
]

ONE = Services("one")
BOTH = Services("one", "two")


@pytest.fixture
async def field() -> AsyncIterator[Field]:
    async with open_field() as field:
        await wait_until(lambda: field.talks("one", "two"))
        await wait_until(lambda: field.talks("two", "one"))
        yield field


async def healed(field: Field, fault: Fault) -> None:
    """Twice, as after a Ctrl-C; then both talk again."""
    await fault.heal(field.struck)
    await fault.heal(field.struck)
    await wait_until(lambda: field.talks("one", "two"))
    await wait_until(lambda: field.talks("two", "one"))


async def test_networks_are_cut_in_the_direction_and_toward_whom_it_is_said(field: Field) -> None:
    for fault in (
        CutOff(ONE),
        CutOff(ONE, direction="in"),
        CutOff(ONE, direction="out"),
        CutOff(ONE, toward=("feeds",)),
        CutOff(ONE, toward=("two",)),
    ):
        await fault.inject(field.struck)
        assert not await field.talks("one", "two"), fault.describe()
        assert not await field.talks("two", "one"), fault.describe()
        await healed(field, fault)
    elsewhere = CutOff(ONE, toward=("one",))
    await elsewhere.inject(field.struck)
    assert await field.talks("one", "two")
    await healed(field, elsewhere)


async def test_a_cut_outlives_a_restart_of_the_node(field: Field) -> None:
    before = (await field.cluster.pids(["one"]))["one"]
    cut = CutOff(ONE)
    await cut.inject(field.struck)
    await ProcessKilled(ONE).inject(field.struck)

    async def reached() -> bool:
        pid = (await field.cluster.pids(["one"]))["one"]
        return pid not in (0, before) and field.nemesis.reached("one", pid)

    await wait_until(reached)
    assert not await field.talks("two", "one")
    await healed(field, cut)


async def test_a_slow_link_is_as_slow_as_it_is_said(field: Field) -> None:
    slow = Slow(BOTH, ports=(PORT,), delay_ms=100, jitter_ms=20, loss=0)
    await slow.inject(field.struck)
    # SYN, its answer, the ACK that lets the other accept, the byte: four delays of 80 ms at least, and a busy machine.
    seconds = await field.seconds("one", "two", times=5, timeout_s=5)
    assert seconds is not None
    assert 5 * 0.32 <= seconds <= 5 * 0.90
    await healed(field, slow)
    quick = await field.seconds("one", "two", times=5)
    assert quick is not None
    assert quick < seconds / 2


async def test_a_lossy_link_delivers_in_the_end(field: Field) -> None:
    lossy = Slow(BOTH, ports=(PORT,), delay_ms=5, jitter_ms=2, loss=0.2, seed=4)
    await lossy.inject(field.struck)
    seconds = await field.seconds("one", "two", times=10, timeout_s=20)
    assert seconds is not None
    assert seconds > 0.5  # 40 packets each way lose some, and each costs TCP 0.2 s at least
    await healed(field, lossy)


async def test_two_slow_links_of_one_node_are_refused(field: Field) -> None:
    await Slow(ONE, delay_ms=1).inject(field.struck)
    with pytest.raises(NemesisFailed, match="one slow link already"):
        await Slow(ONE, delay_ms=2).inject(field.struck)


async def test_a_killed_process_is_started_again_by_its_restart_policy(field: Field) -> None:
    before = await field.cluster.pids(["one", "two"])
    killed = ProcessKilled(BOTH)
    await killed.inject(field.struck)

    async def both_anew() -> bool:
        now = await field.cluster.pids(["one", "two"])
        return all(pid and pid != before[service] for service, pid in now.items())

    await wait_until(both_anew)
    await healed(field, killed)


async def test_a_process_inside_is_found_by_its_name(field: Field) -> None:
    before = await field.cluster.pids(["one"])
    await ProcessKilled(ONE, process="python3").inject(field.struck)

    async def anew() -> bool:
        return (await field.cluster.pids(["one"]))["one"] not in (0, before["one"])

    await wait_until(anew)  # its init ends with it
    with pytest.raises(NemesisFailed, match="no process is called postgres"):
        await ProcessKilled(ONE, process="postgres").inject(field.struck)


async def test_nodes_stay_as_they_were_left_until_they_are_healed(field: Field) -> None:
    for fault, state in (
        (NodeKilled(ONE), "exited"),
        (NodeStopped(ONE), "exited"),
        (NodeFrozen(ONE), "paused"),
        (NodeRestarted(ONE), "running"),
    ):
        await fault.inject(field.struck)
        assert (await field.states())["one"] == state, fault.describe()
        await healed(field, fault)
        assert (await field.states())["one"] == "running"


async def test_heal_all_takes_back_whatever_was_done_by_whomever(field: Field) -> None:
    await CutOff(BOTH).inject(field.struck)
    await Slow(Services("two"), ports=(PORT,)).inject(field.struck)
    await NodeFrozen(ONE).inject(field.struck)
    await NodeKilled(Services("two")).inject(field.struck)
    await field.nemesis.heal_all()
    await wait_until(lambda: field.talks("one", "two"))
    await wait_until(lambda: field.talks("two", "one"))
    await field.nemesis.heal_all()


async def test_aiming_turns_roles_and_chance_into_names(field: Field) -> None:
    aimed = await NodeKilled(Role("feed")).aim(field.struck, random.Random(1))
    assert aimed == NodeKilled(ONE)
    drawn = {(await NodeKilled(Anyone(Role("both"))).aim(field.struck, random.Random(n))).services for n in range(9)}
    assert drawn == {("one",), ("two",)}
