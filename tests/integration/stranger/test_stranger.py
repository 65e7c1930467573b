"""A peer that knows the feed from its document alone, in both roles, against the real server and the real sender."""

import ast
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.integration.feed.peers import Recorder, hello, serving
from tests.support.waiting import wait_until
from ticketflow.feed import Address, Hello, Limits, Refused, connect

PEER = Path(__file__).with_name("peer.py")
EVENTS = [b"event %d" % seq * 20 for seq in range(1, 3001)]
SMALL_WINDOW = Limits(window_events=50)


def test_it_imports_nothing_but_msgpack_and_what_comes_with_python() -> None:
    tree = ast.parse(PEER.read_text())
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names) == {"msgpack"}


@asynccontextmanager
async def stranger(cwd: Path, *arguments: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """The peer in a process of its own, isolated: the project could not be imported if it tried."""
    command = [sys.executable, "-I", str(PEER), *map(str, arguments)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def port_of(process: asyncio.subprocess.Process) -> int:
    assert process.stdout is not None
    assert process.stderr is not None
    line = await process.stdout.readline()
    assert line, (await process.stderr.read()).decode()
    return int(line)


async def sessions_of(process: asyncio.subprocess.Process) -> int:
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return int(out)


def stored(path: Path) -> list[tuple[int, bytes]]:
    lines: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["seq"], line["body"].encode("latin-1")) for line in lines if "body" in line]


async def test_a_strangers_events_arrive_within_our_window(tmp_path: Path) -> None:
    receiver = Recorder()
    async with (
        serving(receiver, SMALL_WINDOW) as server,
        stranger(tmp_path, "send", f"127.0.0.1:{server.port}", "reservation", len(EVENTS)) as sender,
    ):
        assert await sessions_of(sender) == 1
    assert receiver.events == dict(enumerate(EVENTS, 1))


class HaltsAfterFive(Recorder):
    """Its sixth batch waits until it is told to go on."""

    async def apply(self, hello: Hello, first_seq: int, bodies: Sequence[bytes]) -> int:
        if len(self.batches) == 5 and not self.halted:
            self.halted = True
            self.open.clear()
        return await super().apply(hello, first_seq, bodies)

    halted = False


async def test_a_strangers_sender_survives_a_receiver_that_fails_restarts_and_moves(tmp_path: Path) -> None:
    receiver = HaltsAfterFive()
    async with serving(receiver, SMALL_WINDOW) as other, serving(receiver, SMALL_WINDOW) as first:
        addresses = f"127.0.0.1:{first.port},127.0.0.1:{other.port}"
        receiver.fault = ConnectionError("the store is away, once")
        async with stranger(tmp_path, "send", addresses, "reservation", len(EVENTS)) as sender:
            await wait_until(lambda: receiver.waiting and len(receiver.batches) == 5)
            await (first if first.streams else other).drain(0.1)  # too short for what it is applying: it is cut off
            receiver.open.set()
            assert await sessions_of(sender) >= 3
    assert receiver.events == dict(enumerate(EVENTS, 1))


async def test_a_strangers_receiver_is_fed_by_our_sender(tmp_path: Path) -> None:
    store = tmp_path / "store"
    async with stranger(tmp_path, "receive", 0, store) as receiver:
        session = await connect([Address("127.0.0.1", await port_of(receiver))], hello(last_seq=len(EVENTS)))
        assert (session.welcome.receiver, session.welcome.watermark) == ("stranger", 0)
        await session.send(1, EVENTS)
        await wait_until(lambda: session.acked == len(EVENTS))
        await session.close()
    assert stored(store) == list(enumerate(EVENTS, 1))


async def test_a_strangers_receiver_that_is_killed_goes_on_after_its_watermark(tmp_path: Path) -> None:
    store, acked, kills = tmp_path / "store", 0, 0
    while acked < len(EVENTS):
        async with stranger(tmp_path, "receive", 0, store) as receiver:
            session = await connect([Address("127.0.0.1", await port_of(receiver))], hello(last_seq=len(EVENTS)))
            assert session.welcome.watermark is not None
            assert session.welcome.watermark >= acked, "what it acknowledged it still has"
            after = session.welcome.watermark
            sending = asyncio.create_task(session.send(after + 1, EVENTS[after:]))
            enough = len(EVENTS) if kills == 3 else min(after + 300, len(EVENTS))
            await wait_until(lambda session=session, enough=enough: (session.acked or 0) >= enough)  # type: ignore[misc]
            acked = session.acked or 0
            if acked < len(EVENTS):
                receiver.kill()
                kills += 1
                await wait_until(session.closed.is_set)
            await asyncio.gather(sending, return_exceptions=True)
            await session.close()
    assert kills >= 1
    assert stored(store) == list(enumerate(EVENTS, 1))


async def test_a_strangers_receiver_that_was_killed_while_it_wrote_has_what_it_wrote_whole(tmp_path: Path) -> None:
    store = tmp_path / "store"
    whole = [{"epoch": 1, "fence": 1, "seq": 0}, {"seq": 1, "body": EVENTS[0].decode("latin-1")}]
    store.write_text("".join(json.dumps(line) + "\n" for line in whole) + '{"seq": 2, "bo')
    async with stranger(tmp_path, "receive", 0, store) as receiver:
        session = await connect([Address("127.0.0.1", await port_of(receiver))], hello(last_seq=len(EVENTS)))
        assert session.welcome.watermark == 1
        await session.send(2, EVENTS[1:])
        await wait_until(lambda: session.acked == len(EVENTS))
        await session.close()
    assert stored(store) == list(enumerate(EVENTS, 1))


async def test_a_stranger_refuses_a_sender_with_an_older_fence_and_one_that_left_something_out(tmp_path: Path) -> None:
    async with stranger(tmp_path, "receive", 0, tmp_path / "store") as receiver:
        there = [Address("127.0.0.1", await port_of(receiver))]
        newer = await connect(there, _hello(fence=2))
        await newer.send(1, EVENTS[:10])
        await wait_until(lambda: newer.acked == 10)
        await newer.close()
        for fence, epoch, code in ((1, 1, "fenced"), (2, 9, "sender_behind")):
            assert await _refusal(there, fence, epoch) == code


def _hello(fence: int = 1, epoch: int = 1) -> Any:
    return type(hello())(1, "reservation", epoch, fence, 1000, "relay-1")


async def _refusal(there: list[Address], fence: int, epoch: int) -> str:
    """What it says to events of such a sender."""
    try:
        session = await connect(there, _hello(fence, epoch))
        await session.send((session.acked or 0) + 1, [b"x"])
        await wait_until(session.closed.is_set)
        await session.close()
        raise session.error or AssertionError("it was not refused")
    except Refused as refused:
        return refused.code


async def test_two_strangers_pass_a_stream_through_each_other(tmp_path: Path) -> None:
    store = tmp_path / "store"
    async with stranger(tmp_path, "receive", 0, store) as receiver:
        there = f"127.0.0.1:{await port_of(receiver)}"
        async with stranger(tmp_path, "send", there, "reservation", 500) as sender:
            assert await sessions_of(sender) == 1
    assert stored(store) == list(enumerate(EVENTS[:500], 1))
