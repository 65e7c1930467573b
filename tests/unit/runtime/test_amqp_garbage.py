"""Whatever a node sends, its connection stands or ends, and says why; nothing escapes from it."""

from random import Random

from pamqp import body, commands, frame, header
from yarl import URL

from ticketflow.runtime.amqp_channel import Closed
from ticketflow.runtime.amqp_connection import Connection
from ticketflow.runtime.amqp_message import Delivery

PROPERTIES = commands.Basic.Properties(headers={"seq": 7, "stream": "billing", "on": True}, message_id="id-1")
STREAM: list[frame.FrameTypes] = [
    commands.Basic.Ack(3, True),
    commands.Basic.Nack(4, False, True),
    commands.Basic.Deliver("ctag", 1, False, "things", "a.b"),
    header.ContentHeader(0, 4, PROPERTIES),
    body.ContentBody(b"text"),
    commands.Basic.Return(312, "NO_ROUTE", "things", "a.b"),
    header.ContentHeader(0, 4, PROPERTIES),
    body.ContentBody(b"text"),
    commands.Basic.Cancel("ctag", True),
    commands.Channel.Close(404, "NOT_FOUND", 0, 0),
]
WHOLE = b"".join(frame.marshal(each, 1) for each in STREAM)


class Hearing:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def on_delivery(self, delivery: Delivery) -> None:
        self.heard.append(f"delivery {delivery.tag} {delivery.body!r}")

    def on_settled(self, tag: int, *, multiple: bool, acked: bool) -> None:
        self.heard.append(f"{'ack' if acked else 'nack'} {tag} {multiple}")

    def on_returned(self, message_id: str, exchange: str, routing_key: str) -> None:
        self.heard.append(f"returned {message_id} {exchange} {routing_key}")

    def on_cancelled(self, consumer: str) -> None:
        self.heard.append(f"cancelled {consumer}")

    def on_closed(self, error: Closed) -> None:
        self.heard.append(f"closed {error}")


def hearing(*portions: bytes) -> tuple[Hearing, Connection]:
    connection, listener = Connection(URL("amqp://a:b@localhost")), Hearing()
    connection._channel_max = 1
    connection.channel(listener)
    for portion in portions:
        connection.data_received(portion)
    return listener, connection


async def test_as_it_stands_all_of_it_is_heard() -> None:
    expected = [
        "ack 3 True",
        "nack 4 False",
        "delivery 1 b'text'",
        "returned id-1 things a.b",
        "cancelled ctag",
        "closed 404 NOT_FOUND",
    ]
    assert hearing(WHOLE)[0].heard == expected
    assert hearing(*(WHOLE[at : at + 1] for at in range(len(WHOLE))))[0].heard == expected


async def test_bytes_that_are_changed_cut_or_repeated() -> None:
    ended = 0
    for seed in range(3000):
        random = Random(seed)
        data = bytearray(WHOLE)
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(data))
            match random.randrange(3):
                case 0:
                    data[at] = random.randrange(256)
                case 1:
                    del data[at : at + random.randint(1, 9)]
                case _:
                    data[at:at] = data[max(0, at - random.randint(1, 40)) : at]
        try:
            _, connection = hearing(bytes(data[: len(data) // 2]), bytes(data[len(data) // 2 :]))
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
        ended += connection.lost is not None
    assert ended > 1500, "most of it cannot be read"
