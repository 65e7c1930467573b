"""When the relay stamps: at once what comes alone, in company what comes under load."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.waiting import wait_until
from ticketflow.delivery import pump as pumps
from ticketflow.delivery.dialect import OutboxRow
from ticketflow.delivery.ledger import ROWS_MAX, Stamped
from ticketflow.delivery.polling import Polling
from ticketflow.delivery.pump import Pump
from ticketflow.delivery.resume import Resume


class Store:
    """An outbox in memory, and a receiver that takes everything."""

    stream = "s"
    lanes = 1
    rows_max = ROWS_MAX

    def __init__(self) -> None:
        self.waiting = self.last_seq = 0
        self.stamps: list[int] = []
        self.sent = list[int]()
        self.wake = asyncio.Event()
        self.gate = SimpleNamespace(upto=self.upto)

    def stage(self, events: int) -> None:
        self.waiting += events
        self.wake.set()

    async def upto(self, _sent: int, last_seq: int) -> int:
        return last_seq

    async def has_unstamped(self) -> bool:
        return self.waiting > 0

    async def stamp(self) -> Stamped:
        rows = [OutboxRow(self.last_seq + 1 + n, b"") for n in range(min(self.waiting, self.rows_max))]
        if rows:
            self.stamps.append(len(rows))
        self.waiting, self.last_seq = self.waiting - len(rows), self.last_seq + len(rows)
        return Stamped(self.last_seq, rows)

    async def read(self, after_seq: int, upto_seq: int) -> list[OutboxRow]:
        return [OutboxRow(seq, b"") for seq in range(after_seq + 1, upto_seq + 1)]

    def check(self) -> int:
        return 1

    async def send(self, first_seq: int, bodies: list[bytes]) -> None:
        self.sent += range(first_seq, first_seq + len(bodies))

    async def wait_ack(self, _timeout_s: float) -> int | None:
        await asyncio.Event().wait()
        return None

    def pump(self, gather_s: float = 0.0) -> Pump[Any]:
        one = cast(Any, self)
        return Pump(one, one, one, self.wake, Resume(0, None), 0, Polling(announced=True), gather_s)


async def test_what_comes_alone_is_stamped_at_once_and_what_comes_behind_it_goes_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pumps, "PACE_S", 1.0)
    store = Store()
    running = asyncio.create_task(store.pump().run())
    loop = asyncio.get_running_loop()
    began = loop.time()
    store.stage(1)
    await wait_until(lambda: store.sent == [1])
    assert loop.time() - began < 0.9
    for _ in range(3):
        await asyncio.sleep(0.01)
        store.stage(1)
    assert store.sent == [1]
    await wait_until(lambda: store.sent == [1, 2, 3, 4])
    assert store.stamps == [1, 3]
    running.cancel()


async def test_a_full_stamp_is_followed_by_the_next_one_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pumps, "PACE_S", 60.0)
    monkeypatch.setattr(pumps, "ROWS_MAX", 2)
    store = Store()
    running = asyncio.create_task(store.pump().run())
    store.stage(2)
    await wait_until(lambda: store.sent == [1, 2])
    store.stage(2)
    await wait_until(lambda: store.sent == [1, 2, 3, 4])
    running.cancel()


async def test_under_load_the_first_waits_for_those_that_come_in_step_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pumps, "PACE_S", 0.0)
    monkeypatch.setattr(pumps, "BUSY_S", 60.0)
    store = Store()
    running = asyncio.create_task(store.pump(gather_s=0.5).run())
    loop = asyncio.get_running_loop()
    began = loop.time()
    store.stage(1)
    await wait_until(lambda: store.sent == [1])
    assert loop.time() - began < 0.45
    store.stage(2)
    await asyncio.sleep(0.02)
    store.stage(3)
    await wait_until(lambda: store.sent == [1, 2, 3, 4, 5, 6])
    assert store.stamps == [1, 5]
    running.cancel()


async def test_behind_a_full_stamp_nothing_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pumps, "BUSY_S", 120.0)
    monkeypatch.setattr(pumps, "ROWS_MAX", 2)
    store = Store()
    store.rows_max = 2
    running = asyncio.create_task(store.pump(gather_s=60.0).run())
    store.stage(5)
    await wait_until(lambda: store.sent == [1, 2, 3, 4, 5])
    assert store.stamps == [2, 2, 1]
    running.cancel()
