"""Buyers for the ring, in a process of their own: ``python -m bench.ring_load JSON``; a report as JSON on stdout.

As fast as it goes: each connection asks again when it has its answer. Paced: requests are due at fixed moments,
whatever the answers do, and a request's time counts from when it was due: a slow answer cannot hide those behind it.
"""

import asyncio
import sys
import time
from contextlib import aclosing
from uuid import uuid4

import msgspec

from bench import process
from bench.http_client import Connection, connect, post
from bench.ticks import ticks

NOT_YET_S = 0.01  # between two requests to pay for an order that has not reached billing
NOT_YET_MAX = 500


class Load(msgspec.Struct):
    """``seats``: one hold each. ``rate``: holds a second; 0 is as fast as it goes. ``pay``: the whole sale."""

    port: int
    event_id: str
    seats: list[str]
    connections: int
    seconds: float
    rate: float = 0.0
    pay: bool = False


class Report(msgspec.Struct):
    """``began``: hold id -> when its request was due, s since 1970. ``hold_s``: the answers' times."""

    began: dict[str, float]
    hold_s: list[float]
    refused: dict[str, int]
    started_at: float
    cpu_s: float


async def run(load: Load) -> Report:
    report = Report({}, [], {}, time.time(), 0.0)
    seats = iter(load.seats)
    until = time.time() + load.seconds
    due: asyncio.Queue[float] = asyncio.Queue()

    async def buyer(connection: Connection) -> None:
        while time.time() < until:
            at = await due.get() if load.rate else time.time()
            seat = next(seats, None)
            if seat is None or at < 0:
                return
            await buy(load, connection, seat, at, report)

    connections = [await connect("127.0.0.1", load.port) for _ in range(load.connections)]
    async with asyncio.TaskGroup() as group:
        for connection in connections:
            group.create_task(buyer(connection))
        if load.rate:
            await pace(load, due)
            for _ in connections:
                due.put_nowait(-1.0)
    for connection in connections:
        connection.close()
    report.cpu_s = time.process_time()
    return report


async def pace(load: Load, due: "asyncio.Queue[float]") -> None:
    began, number, all_of = time.time(), 0, int(load.rate * load.seconds)
    async with aclosing(ticks(load.rate)) as came:
        async for many in came:
            for _ in range(min(many, all_of - number)):
                number += 1
                due.put_nowait(began + number / load.rate)
            if number == all_of:
                return


async def buy(load: Load, connection: Connection, seat: str, at: float, report: Report) -> None:
    body = msgspec.json.encode({"event_id": load.event_id, "buyer_id": f"b-{seat[-12:]}", "seats": [seat]})
    answer = await connection.ask(post("/api/v1/holds", body, f"Idempotency-Key: {uuid4()}\r\n"))
    report.hold_s.append(time.time() - at)
    said = answer.json()
    if answer.status != 201:
        code = str(said.get("code", answer.status))
        report.refused[code] = report.refused.get(code, 0) + 1
        return
    hold_id = str(said["hold_id"])
    report.began[hold_id] = at
    if load.pay:
        await pay(connection, hold_id, str(said["token"]), report)


async def pay(connection: Connection, order_id: str, token: str, report: Report) -> None:
    headers = f"Idempotency-Key: {uuid4()}\r\nX-Hold-Token: {token}\r\n"
    request = post(f"/api/v1/orders/{order_id}/payments", b'{"method":"card","card_token":"tok_ok"}', headers)
    code = ""
    for _ in range(NOT_YET_MAX):
        answer = await connection.ask(request)
        if answer.status < 300:
            return
        code = str(answer.json().get("code", answer.status))
        if code != "order_not_yet":
            break
        await asyncio.sleep(NOT_YET_S)
    report.refused[code] = report.refused.get(code, 0) + 1


if __name__ == "__main__":
    told = process.run(run(msgspec.json.decode(sys.stdin.buffer.read(), type=Load)))
    sys.stdout.buffer.write(msgspec.json.encode(told))
