"""What goes to the broker, in which portions, while it has trouble."""

from collections.abc import Sequence
from typing import Any, cast

from bridge.publisher import Publisher
from ticketflow.feed import Hello
from ticketflow.runtime.amqp import Broker, Outgoing, Published
from ticketflow.runtime.errors import RuntimeFault, Unavailable

HELLO = Hello(1, "billing", 11, 1, 0, "billing")
FIVE_EVENTS = [b"\xc1 event %d" % number for number in range(5)]
NO_QUEUE = Unavailable("no queue for it")


class ScriptedBroker:
    """Answers each publish with the next of ``script``: how many it confirmed, and what then failed."""

    def __init__(self, *script: tuple[int, RuntimeFault | None]) -> None:
        self.script = list(script)
        self.portions: list[int] = []

    async def session(self) -> "ScriptedBroker":
        return self

    async def declare(self) -> None:
        pass

    async def publish(self, messages: Sequence[Outgoing]) -> Published:
        self.portions.append(len(messages))
        confirmed, failure = self.script.pop(0) if self.script else (len(messages), None)
        return Published(confirmed, failure)


async def portions_of(broker: ScriptedBroker) -> list[int]:
    """How many events went out each time, until all five were confirmed."""
    publisher = Publisher(cast(Broker, cast(Any, broker)))
    assert await publisher.apply(HELLO, 1, FIVE_EVENTS) == 5
    assert publisher.trouble is None
    return broker.portions


async def test_a_batch_goes_out_whole() -> None:
    assert await portions_of(ScriptedBroker()) == [5]


async def test_after_a_failure_one_event_goes_ahead_and_the_rest_follows_its_confirm() -> None:
    """Were the whole batch tried, a queue that appears half-way would get events 3 to 5 before 1 and 2."""
    assert await portions_of(ScriptedBroker((0, NO_QUEUE), (0, NO_QUEUE), (1, None))) == [5, 1, 1, 4]


async def test_a_failure_in_the_middle_repeats_nothing_that_was_confirmed() -> None:
    assert await portions_of(ScriptedBroker((3, NO_QUEUE), (0, NO_QUEUE))) == [5, 1, 1, 1]
