"""JetStream's side: publish into a stream with file storage, acknowledged message by message by the server itself.

Its own `publish_async` costs three times what the messages cost. So we publish as the protocol has it, with a reply
subject, and count the acknowledgements that come there, each of which has the message's place in the stream.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from bench.nats_window import Windowed

STREAM, SUBJECT, ACKS = "BENCH", "bench.kept", "bench.kept_acks"


class _PubAck(msgspec.Struct):
    """What JetStream answers; a refusal has no ``seq``, and does not pass."""

    stream: str
    seq: int


_decode = msgspec.json.Decoder(_PubAck).decode


class _Sending(Windowed):
    def __init__(self, client: Client) -> None:
        super().__init__(client, SUBJECT, reply=ACKS)

    async def take(self, message: Msg) -> None:
        seq = self.acked + 1
        assert _decode(message.data).seq == seq, "a message was lost, or stored twice"
        self.acknowledged(seq)


@asynccontextmanager
async def sender(options: dict[str, Any]) -> AsyncIterator[_Sending]:
    """``url``: the server's."""
    client = await nats.connect(options["url"], skip_subject_validation=True)
    await client.jetstream().add_stream(name=STREAM, subjects=[SUBJECT], storage="file", max_msgs=100_000)
    sending = _Sending(client)
    await client.subscribe(ACKS, cb=sending.take)
    await client.flush()
    try:
        yield sending
    finally:
        await client.close()
