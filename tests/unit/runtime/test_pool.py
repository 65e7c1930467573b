"""The pool's laws, against a driver that does as it is told."""

import asyncio
import time
from collections.abc import Hashable

import pytest

from tests.support.waiting import wait_until
from ticketflow.runtime.errors import Unavailable
from ticketflow.runtime.pool import Pool
from ticketflow.runtime.slot import Place


class Connection:
    def __init__(self, number: int, place: Place) -> None:
        self.number = number
        self.place = place
        self.cut = False


class Driver:
    """``up``: whether connecting succeeds. ``gate``: connecting waits for it."""

    def __init__(self) -> None:
        self.up = True
        self.gate = asyncio.Event()
        self.gate.set()
        self.made: list[Connection] = []
        self.leads_to = Place("here", "one")
        self.answered_by: dict[str, str | None] = {"here": "one", "there": "one"}
        self.slow_s = 0.0
        self.avoided: list[Hashable] = []
        self.looks = 0
        self.attempts = 0
        self.connecting = self.connecting_max = 0

    async def connect(self) -> Connection:
        self.attempts += 1
        self.connecting += 1
        self.connecting_max = max(self.connecting_max, self.connecting)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            if not self.up:
                raise Unavailable("refused")
            self.made.append(Connection(len(self.made), self.leads_to))
            return self.made[-1]
        finally:
            self.connecting -= 1

    def place(self, connection: Connection) -> Place:
        return connection.place

    async def node_at(self, address: Hashable) -> str | None:
        self.looks += address == "here"
        await asyncio.sleep(self.slow_s)
        return self.answered_by[str(address)]

    @property
    def addresses(self) -> list[str]:
        return list(self.answered_by)

    def avoid(self, address: Hashable) -> None:
        self.avoided.append(address)

    def usable(self, connection: Connection) -> bool:
        return not connection.cut

    def discard(self, connection: Connection) -> None:
        connection.cut = True

    @property
    def open(self) -> int:
        return sum(not connection.cut for connection in self.made)


def make(
    driver: Driver, *, size_min: int = 0, size_max: int = 3, recycle_s: float = 60, acquire_timeout_s: float = 10
) -> Pool[Connection]:
    return Pool(
        driver,
        name="p",
        size_min=size_min,
        size_max=size_max,
        acquire_timeout_s=acquire_timeout_s,
        recycle_s=recycle_s,
    )


async def test_the_last_connection_given_back_is_the_next_to_go_out() -> None:
    driver = Driver()
    pool = make(driver)
    first, second = await pool.acquire(), await pool.acquire()
    pool.release(first, reusable=True)
    pool.release(second, reusable=True)
    assert await pool.acquire() is second
    assert await pool.acquire() is first


async def test_it_fills_itself_to_its_least_size_and_stays_there() -> None:
    driver = Driver()
    pool = make(driver, size_min=2)
    pool.start()
    await wait_until(lambda: pool.idle == 2)
    pool.release(await pool.acquire(), reusable=False)
    await wait_until(lambda: pool.idle == 2)
    assert driver.open == 2


async def test_it_never_exceeds_its_size_however_many_ask() -> None:
    driver = Driver()
    pool = make(driver, size_max=3)
    most = 0

    async def use() -> None:
        nonlocal most
        connection = await pool.acquire()
        most = max(most, driver.open + driver.connecting)
        await asyncio.sleep(0.001)
        pool.release(connection, reusable=connection.number % 7 != 0)

    await asyncio.gather(*(use() for _ in range(100)))
    assert most == 3
    assert driver.connecting_max <= 3


async def test_a_connection_counts_once_from_the_turn_on_in_which_it_is_there() -> None:
    driver = Driver()
    pool = make(driver, size_max=2)
    sizes = []
    asking = asyncio.create_task(pool.acquire())
    while not asking.done():
        await asyncio.sleep(0)
        sizes.append(pool.size)
    assert set(sizes) == {1}


async def test_waiters_are_served_in_the_order_they_came() -> None:
    pool = make(Driver(), size_max=1)
    held = await pool.acquire()
    served: list[int] = []

    async def use(number: int) -> None:
        connection = await pool.acquire()
        served.append(number)
        pool.release(connection, reusable=True)

    users = [asyncio.create_task(use(number)) for number in range(5)]
    await asyncio.sleep(0)
    pool.release(held, reusable=True)
    await asyncio.gather(*users)
    assert served == [0, 1, 2, 3, 4]


async def test_a_waiter_cancelled_in_the_turn_that_served_it_loses_no_connection() -> None:
    pool = make(Driver(), size_max=1)
    held = await pool.acquire()
    waiter = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0.01)
    pool.release(held, reusable=True)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert await pool.acquire() is held


async def test_a_cancelled_waiter_does_not_break_the_connection_that_is_being_opened() -> None:
    driver = Driver()
    driver.gate.clear()
    pool = make(driver)
    waiter = asyncio.create_task(pool.acquire())
    await wait_until(lambda: driver.connecting == 1)
    waiter.cancel()
    driver.gate.set()
    await wait_until(lambda: pool.idle == 1)
    assert driver.open == 1


async def test_a_slow_opening_holds_up_nobody_who_can_be_served_otherwise() -> None:
    driver = Driver()
    pool = make(driver)
    held = await pool.acquire()
    driver.gate.clear()
    waiter = asyncio.create_task(pool.acquire())
    await wait_until(lambda: driver.connecting == 1)
    pool.release(held, reusable=True)
    assert await waiter is held
    driver.gate.set()


async def test_expired_and_old_connections_are_never_handed_out() -> None:
    driver = Driver()
    pool = make(driver, recycle_s=0.02)
    held, idle = await pool.acquire(), await pool.acquire()
    pool.release(idle, reusable=True)
    pool.expire()
    assert idle.cut
    pool.release(held, reusable=True)
    assert held.cut
    young = await pool.acquire()
    pool.release(young, reusable=True)
    await asyncio.sleep(0.03)
    assert await pool.acquire() is not young


async def test_one_probe_at_a_time_while_the_server_is_down_and_back_within_a_second() -> None:
    driver = Driver()
    driver.up = False
    pool = make(driver, acquire_timeout_s=0.2)
    refused = await asyncio.gather(*(pool.acquire() for _ in range(20)), return_exceptions=True)
    assert all(isinstance(error, Unavailable) and "refused" in str(error) for error in refused)
    await wait_until(lambda: driver.connecting_max <= 3)
    attempts = driver.attempts
    await wait_until(lambda: _refuses_at_once(pool))
    assert driver.attempts <= attempts + 2
    driver.up = True
    await wait_until(lambda: pool.idle > 0, timeout_s=3)
    await pool.acquire()


async def _refuses_at_once(pool: Pool[Connection]) -> bool:
    with pytest.raises(Unavailable, match="refused"):
        async with asyncio.timeout(0.05):
            await pool.acquire()
    return True


async def test_a_short_outage_is_waited_out() -> None:
    driver = Driver()
    driver.up = False
    pool = make(driver)
    waiter = asyncio.create_task(pool.acquire())
    await wait_until(lambda: driver.attempts == 1)
    driver.up = True
    assert await waiter is driver.made[0]


async def test_closing_refuses_waits_and_cuts() -> None:
    driver = Driver()
    pool = make(driver, size_max=2)
    held, idle = await pool.acquire(), await pool.acquire()
    pool.release(idle, reusable=True)
    closing = asyncio.create_task(pool.close(5))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await pool.acquire()
    assert not closing.done()
    pool.release(held, reusable=True)
    await closing
    assert driver.open == 0


async def test_closing_ends_at_its_deadline() -> None:
    driver = Driver()
    pool = make(driver)
    held = await pool.acquire()
    await pool.close(0.01)
    assert held.cut
    pool.release(held, reusable=True)


async def test_an_error_that_is_no_outage_reaches_who_waits_however_long_it_takes_to_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ticketflow.runtime.pool.log.error", lambda *_args, **_more: time.sleep(0.3), raising=False)

    class Broken(Driver):
        async def connect(self) -> Connection:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await make(Broken()).acquire()


async def test_who_waits_where_nobody_answers_is_cut_off() -> None:
    driver = Driver()
    pool = make(driver)
    pool.start()
    waits, idle = await pool.acquire(), await pool.acquire()
    pool.release(idle, reusable=True)
    driver.answered_by["here"] = None
    await wait_until(lambda: waits.cut)
    assert idle.cut
    assert driver.avoided == ["here"]
    pool.release(waits, reusable=False)
    await pool.close(1)


async def test_who_waits_for_a_server_that_has_been_replaced_is_cut_off() -> None:
    driver = Driver()
    pool = make(driver)
    pool.start()
    waits = await pool.acquire()
    driver.leads_to = Place("here", "two")
    driver.answered_by["here"] = "two"
    new = await pool.acquire()
    await wait_until(lambda: waits.cut)
    assert not new.cut
    for connection in (waits, new):
        pool.release(connection, reusable=True)
    await pool.close(1)


@pytest.mark.parametrize("answered_by", ["one", ""])
async def test_who_waits_where_newcomers_are_answered_waits_in_peace(answered_by: str) -> None:
    driver = Driver()
    driver.answered_by["here"] = answered_by
    pool = make(driver)
    pool.start()
    waits = await pool.acquire()
    await wait_until(lambda: driver.looks)
    await asyncio.sleep(0.5)
    assert not waits.cut
    assert driver.looks == 1, "not every time"
    await pool.close(0)


@pytest.mark.parametrize("elsewhere", [{}, {"there": None}])
async def test_who_has_nowhere_to_go_is_not_cut_off(elsewhere: dict[str, str | None]) -> None:
    """All is silent: an outage, or a machine on which all is slow, which new logins would make slower still."""
    driver = Driver()
    driver.answered_by = {"here": None, **elsewhere}
    pool = make(driver)
    pool.start()
    waits = await pool.acquire()
    await wait_until(lambda: driver.looks >= 2)
    assert not waits.cut
    await pool.close(0)


async def test_where_all_is_slow_nobody_is_silent() -> None:
    driver = Driver()
    driver.slow_s = 0.5
    pool = make(driver)
    pool.start()
    waits = await pool.acquire()
    await wait_until(lambda: driver.looks)
    await asyncio.sleep(1.5)
    assert not waits.cut
    await pool.close(0)


async def test_where_anything_is_answered_nobody_is_suspected() -> None:
    driver = Driver()
    driver.answered_by["here"] = None
    pool = make(driver)
    pool.start()
    waits = await pool.acquire()
    until = time.monotonic() + 1
    while time.monotonic() < until:
        pool.release(await pool.acquire(), reusable=True)
        await asyncio.sleep(0.001)
    assert not waits.cut
    await pool.close(0)


async def test_a_detained_connection_keeps_its_place_until_it_is_answered() -> None:
    driver = Driver()
    pool = make(driver, size_max=3)
    answer = asyncio.get_running_loop().create_future()
    given_up = await pool.acquire()
    pool.detain(given_up, answer)
    pool.release(given_up, reusable=False)
    assert (pool.in_use, given_up.cut, pool.stuck) == (0, False, True)
    for _ in range(2):
        await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await asyncio.sleep(0.05)
    assert not waiting.done(), "three are open: two in use, one detained"
    answer.set_result("COMMIT")
    assert await waiting not in (None, given_up)
    assert given_up.cut
    assert not pool.stuck


async def test_closing_cuts_what_is_detained() -> None:
    driver = Driver()
    pool = make(driver)
    answer = asyncio.get_running_loop().create_future()
    given_up = await pool.acquire()
    pool.detain(given_up, answer)
    await pool.close(5)
    assert given_up.cut
    answer.set_exception(OSError("cut"))
    await asyncio.sleep(0)


async def test_distrust_takes_idle_connections_that_lead_the_same_way() -> None:
    driver = Driver()
    pool = make(driver)
    first, same = await pool.acquire(), await pool.acquire()
    driver.leads_to = Place("there", "one")
    other = await pool.acquire()
    for connection in (same, other):
        pool.release(connection, reusable=True)
    pool.distrust(first)
    assert (same.cut, other.cut) == (True, False)
    assert driver.avoided == ["here"]


def test_sizes_must_make_sense() -> None:
    with pytest.raises(ValueError, match="make no sense"):
        Pool(object(), name="p", size_min=2, size_max=1, acquire_timeout_s=1, recycle_s=1)  # type: ignore[arg-type]
