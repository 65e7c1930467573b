"""A session and a node that says what a real one says seldom, or not when a test wants it."""

import asyncio
import time

import pytest
from pamqp import body, commands, header
from yarl import URL

from tests.support.waiting import wait_until
from tests.unit.runtime.amqp_node import Node, messages, serving, session_with
from ticketflow.runtime import amqp_publishing, amqp_pulse
from ticketflow.runtime.amqp import Published, Session
from ticketflow.runtime.amqp_channel import Closed
from ticketflow.runtime.amqp_connection import Connection
from ticketflow.runtime.amqp_message import Delivery
from ticketflow.runtime.amqp_publishing import IN_FLIGHT_BYTES_MAX, IN_FLIGHT_MAX
from ticketflow.runtime.errors import Indefinite, Unavailable

Ack, Nack = commands.Basic.Ack, commands.Basic.Nack


async def arrived(node: Node, count: int) -> None:
    await wait_until(lambda: len(node.arrived) == count)


async def after(publishing: "asyncio.Task[Published]") -> Published:
    return await asyncio.wait_for(publishing, 10)


# -- what the node says of publishes


@pytest.mark.parametrize(
    ("words", "confirmed"),
    [
        ([Ack(10, True)], 10),
        ([Ack(0, True)], 10),
        ([Ack(tag, False) for tag in (2, 1, 10, 9, 3, 4, 8, 7, 6, 5)], 10),
        ([Ack(3, True), Ack(7, False), Ack(6, True), Ack(10, True)], 10),
        ([Nack(5, False, False), Ack(10, True)], 4),
        ([Ack(4, True), Nack(5, False, False), Ack(10, True)], 4),
        ([Ack(2, True), Nack(6, True, False), Ack(10, True)], 2),
        ([Ack(9, True), Nack(0, True, False)], 9),
        ([Nack(10, True, False)], 0),
    ],
)
async def test_ranges_of_confirms(words: list[commands.Basic.Ack], confirmed: int) -> None:
    node = Node()
    async with session_with(node) as session:
        publishing = asyncio.create_task(session.publish(messages(10)))
        await arrived(node, 10)
        node.say(*words)

        count, failure = await after(publishing)

        assert count == confirmed
        assert isinstance(failure, Unavailable) == (confirmed < 10)
        assert session.lost == (None if confirmed == 10 else "a message was refused")
        assert not session.node_failed


async def test_a_message_that_comes_back_in_the_middle_of_a_range() -> None:
    node = Node()
    async with session_with(node) as session:
        publishing = asyncio.create_task(session.publish(messages(10)))
        await arrived(node, 10)
        node.say(Ack(2, True))
        node.send_back(4)
        node.say(Ack(10, True))

        count, failure = await after(publishing)

        assert count == 3
        assert str(failure) == "RabbitMQ has no queue for 'thing.4' on 'things'"
        again = asyncio.create_task(session.publish(messages(1)))
        await arrived(node, 11)
        node.say(Ack(11, False))
        assert await after(again) == (1, None), "the session goes on"


async def test_after_a_failure_nothing_more_goes_out_and_what_has_is_waited_for() -> None:
    node = Node()
    async with session_with(node) as session:
        publishing = asyncio.create_task(session.publish(messages(2 * IN_FLIGHT_MAX)))
        await arrived(node, IN_FLIGHT_MAX)
        node.send_back(5)
        node.say(Ack(IN_FLIGHT_MAX - 1, True))
        await wait_until(lambda: session._publishing._confirms.waiting == 1)
        assert not publishing.done()
        node.say(Ack(IN_FLIGHT_MAX, False))

        assert (await after(publishing)).confirmed == 4
        assert len(node.arrived) == IN_FLIGHT_MAX


async def test_two_calls_at_once_have_an_outcome_each() -> None:
    node = Node()
    async with session_with(node) as session:
        one = asyncio.create_task(session.publish(messages(3)))
        other = asyncio.create_task(session.publish(messages(4)))
        await arrived(node, 7)
        node.send_back(2)
        node.say(Ack(7, True))

        assert (await after(one)).confirmed == 1
        assert await after(other) == (4, None)


# -- what is in flight


async def test_messages_in_flight_are_bounded_and_keep_their_order() -> None:
    node, count = Node(), 4 * IN_FLIGHT_MAX
    async with session_with(node) as session:
        publishing = asyncio.create_task(session.publish(messages(count)))
        await arrived(node, IN_FLIGHT_MAX)
        while len(node.arrived) < count:
            known = len(node.arrived)
            node.say(Ack(known - IN_FLIGHT_MAX // 2, True))
            await wait_until(lambda known=known: len(node.arrived) > known)  # type: ignore[misc]
            await wait_until(lambda known=known: len(node.arrived) == min(count, known + IN_FLIGHT_MAX // 2))  # type: ignore[misc]
        node.say(Ack(count, True))

        assert await after(publishing) == (count, None)
        assert [key for key, _, _ in node.arrived] == [f"thing.{n}" for n in range(1, count + 1)]
        assert len({message_id for _, message_id, _ in node.arrived}) == count


async def test_bytes_in_flight_are_bounded() -> None:
    node = Node()
    payload = bytes(300_000)
    async with session_with(node) as session:
        publishing = asyncio.create_task(session.publish(messages(40, payload)))
        within = IN_FLIGHT_BYTES_MAX // len(payload) + 1
        await arrived(node, within)
        assert session._publishing._confirms.waiting == within
        while not publishing.done():
            node.say(Ack(len(node.arrived), True))
            await asyncio.sleep(0.01)

        assert await after(publishing) == (40, None)
        assert {each for _, _, each in node.arrived} == {payload}


async def test_frames_are_as_small_as_the_node_wants_them() -> None:
    node = Node(frame_max=4096)
    payload = bytes(range(250)) * 40
    async with session_with(node) as session:
        publishing = asyncio.create_task(session.publish(messages(3, payload)))
        await wait_until(lambda: [each for _, _, each in node.arrived] == [payload] * 3)
        node.say(Ack(3, True))
        assert await after(publishing) == (3, None)


async def test_a_name_that_cannot_be_written_is_the_callers_error_and_harms_nothing() -> None:
    node = Node()
    async with session_with(node) as session:
        wrong = messages(1)[0].__class__("things", "k" * 256, {}, b"")
        with pytest.raises(ValueError, match="256 bytes"):
            await session.publish([*messages(2), wrong])
        publishing = asyncio.create_task(session.publish(messages(1)))
        await arrived(node, 1)
        node.say(Ack(1, True))
        assert await after(publishing) == (1, None)


# -- a node that takes no publishes


async def test_a_block_while_a_batch_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqp_publishing, "CONFIRM_TIMEOUT_S", 0.3)
    node, count = Node(), IN_FLIGHT_MAX + 100
    async with session_with(node) as session:
        node.say(commands.Connection.Blocked("memory"), channel=0)
        await wait_until(lambda: session._connection.blocked)
        publishing = asyncio.create_task(session.publish(messages(count)))
        await asyncio.sleep(1)  # longer than a confirm may take
        assert (node.arrived, session.lost) == ([], None)
        node.say(commands.Connection.Unblocked(), channel=0)
        await arrived(node, IN_FLIGHT_MAX)
        node.say(commands.Connection.Blocked("disk"), channel=0)
        node.say(Ack(IN_FLIGHT_MAX, True))
        await asyncio.sleep(1)
        assert (len(node.arrived), session.lost) == (IN_FLIGHT_MAX, None), "no copies, and no more"

        node.say(commands.Connection.Unblocked(), channel=0)
        await arrived(node, count)
        node.say(Ack(count, True))
        assert await after(publishing) == (count, None)


async def test_a_node_that_confirms_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqp_publishing, "CONFIRM_TIMEOUT_S", 0.3)
    node = Node()
    async with session_with(node) as session:
        publishing = asyncio.create_task(session.publish(messages(5)))
        await arrived(node, 5)
        node.say(Ack(2, True))

        count, failure = await after(publishing)

        assert count == 2
        assert isinstance(failure, Indefinite)
        assert session.lost == "no confirm within 0.3 s"
        assert session.node_failed


# -- ends


async def test_a_connection_that_is_cut_with_publishes_in_flight() -> None:
    node = Node()
    async with session_with(node) as session:
        publishing = asyncio.create_task(session.publish(messages(5)))
        await arrived(node, 5)
        node.say(Ack(1, True))
        await wait_until(lambda: session._publishing._confirms.settled == 1)
        node.hang_up()

        count, failure = await after(publishing)

        assert count == 1
        assert isinstance(failure, Indefinite)
        assert session.node_failed
        assert (await session.publish(messages(1))).confirmed == 0, "a lost session publishes nothing"


@pytest.mark.parametrize(
    ("words", "channel", "why"),
    [
        (commands.Channel.Close(406, "PRECONDITION_FAILED - so", 0, 0), 1, "406 PRECONDITION_FAILED - so"),
        (commands.Connection.Close(320, "CONNECTION_FORCED - bye", 0, 0), 0, "320 CONNECTION_FORCED - bye"),
        (commands.Basic.Cancel("ctag", True), 1, "the broker cancelled our consumer ctag"),
        (commands.Basic.QosOk(), 1, "came unasked"),
        (body.ContentBody(b"text"), 1, "and no message"),
        (commands.Basic.QosOk(), 9, "not open"),
    ],
    ids=["channel closed", "connection closed", "cancelled", "an answer unasked", "a body alone", "another channel"],
)
async def test_whatever_ends_it_is_said(words: commands.Basic.Cancel, channel: int, why: str) -> None:
    node = Node()
    async with session_with(node) as session:
        taking = asyncio.create_task(session.take(1))
        publishing = asyncio.create_task(session.publish(messages(2)))
        await arrived(node, 2)
        node.say(words, channel=channel)

        with pytest.raises(Unavailable, match=why):
            await asyncio.wait_for(taking, 10)
        assert isinstance((await after(publishing)).failure, Indefinite)
        if channel < 9 and "closed" in str(session.lost) and "Close" in words.name:
            await wait_until(lambda: node.said[-1] == words.name + "Ok")


async def test_bytes_that_are_no_amqp_end_it() -> None:
    node = Node()
    async with session_with(node) as session:
        node.say_bytes(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(Unavailable, match="no frame begins"):
            await asyncio.wait_for(session.take(1), 10)


async def test_a_call_that_is_given_up_does_not_take_the_next_ones_answer() -> None:
    node = Node(answers=True)
    async with session_with(node) as session:
        node.answers = False
        first = asyncio.create_task(session.consume("box", prefetch=1))
        await wait_until(lambda: node.said[-1] == "Basic.Qos")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        node.answers = True
        node.say(commands.Basic.QosOk())
        await asyncio.wait_for(session.consume("box", prefetch=1), 10)
        assert session.lost is None


# -- deliveries


async def test_deliveries_are_put_together_from_whatever_frames_they_come_in() -> None:
    node = Node()
    async with session_with(node) as session:
        await session.consume("box", prefetch=3)
        properties = commands.Basic.Properties(headers={"seq": 7, "stream": "billing"})
        for tag, parts in enumerate(([], [b"whole"], [b"in ", b"three ", b"parts"]), start=1):
            node.say(
                commands.Basic.Deliver("ctag", tag, tag == 2, "things", "a.b"),
                header.ContentHeader(0, sum(map(len, parts)), properties),
                *map(body.ContentBody, parts),
            )
        found: list[Delivery] = []
        while len(found) < 3:
            found += await asyncio.wait_for(session.take(3), 10)

        headers = {"seq": 7, "stream": "billing"}
        assert found == [
            Delivery(1, "a.b", headers, b"", redelivered=False),
            Delivery(2, "a.b", headers, b"whole", redelivered=True),
            Delivery(3, "a.b", headers, b"in three parts", redelivered=False),
        ]
        await session.ack(3)
        await wait_until(lambda: node.said[-1] == "Basic.Ack")


async def test_under_load_a_few_wait_for_those_that_were_published_with_them() -> None:
    def tell(tag: int) -> None:
        said = commands.Basic.Deliver("ctag", tag, False, "things", "a.b")
        node.say(said, header.ContentHeader(0, 1, commands.Basic.Properties()), body.ContentBody(b"x"))

    async def tags() -> list[int]:
        taken = await asyncio.wait_for(session.take(9, gather_s=0.5), 10)
        return [delivery.tag for delivery in taken]

    node, loop = Node(), asyncio.get_running_loop()
    async with session_with(node) as session:
        await session.consume("box", prefetch=9)
        began = loop.time()
        tell(1)
        assert await tags() == [1]
        assert loop.time() - began < 0.45
        taking = asyncio.create_task(tags())
        tell(2)
        await asyncio.sleep(0.02)
        tell(3)
        assert await taking == [2, 3]


# -- heartbeats and the handshake


async def test_heartbeats_go_out_and_a_node_that_sends_none_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(heartbeat=1)
    async with session_with(node) as session:
        await wait_until(lambda: node.said.count("heartbeat") >= 2)
        with pytest.raises(Unavailable, match="has said nothing for 2 s"):
            await asyncio.wait_for(session.take(1), 20)
        assert session.node_failed


async def test_a_process_that_stood_still_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amqp_pulse, "SILENT_BEATS_MAX", 2)
    node = Node(heartbeat=1)
    async with session_with(node) as session:
        time.sleep(3)  # noqa: ASYNC251 - that is what is tested: nothing runs, and three beats are missed
        node.say_bytes(b"\x08\x00\x00\x00\x00\x00\x00\xce")
        await asyncio.sleep(0.6)
        assert session.lost is None


@pytest.mark.parametrize(
    ("node", "why"),
    [
        (Node(mechanisms="EXTERNAL"), "takes no password"),
        (Node(frame_max=100), "frames of 100 bytes"),
        (Node(answers=False), "no answer in time"),
    ],
    ids=["no password", "tiny frames", "silent"],
)
async def test_a_node_that_we_cannot_talk_to_is_unavailable(node: Node, why: str) -> None:
    async with serving(node) as broker:
        with pytest.raises(Unavailable, match=why):
            await asyncio.wait_for(broker.session(), 10)


async def test_a_node_that_hangs_up_before_we_have_listened_is_found_at_once() -> None:
    connection = Connection(URL("amqp://a:b@localhost"))
    connection.connection_lost(None)

    with pytest.raises(Closed, match="hung up") as caught:
        await asyncio.wait_for(connection._calls.answer(commands.Connection.Start), 1)
    assert isinstance(caught.value.__cause__, ConnectionResetError)


async def test_a_goodbye_is_said_and_waited_for() -> None:
    node = Node()
    async with serving(node) as broker:
        session: Session = await broker.session()
        await broker.close()
        assert node.said[-1] == "Connection.Close"
        assert session.lost == "closed by us"
