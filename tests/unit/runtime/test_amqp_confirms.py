"""What the broker's acks, nacks and returns say about a batch."""

from random import Random

from ticketflow.runtime.amqp_confirms import Batch, Confirms
from ticketflow.runtime.errors import Unavailable

FULL = Unavailable("full")
NO_QUEUE = Unavailable("no queue")


def batch_of(confirms: Confirms, messages: int) -> Batch:
    batch = Batch(lambda: None)
    for _ in range(messages):
        confirms.add(batch, 100)
    return batch


def test_a_range_is_confirmed_at_once() -> None:
    confirms = Confirms()
    batch = batch_of(confirms, 5)

    confirms.settle(3, multiple=True)
    assert (confirms.outcome(batch), confirms.waiting, confirms.bytes) == ((3, None), 2, 200)
    confirms.settle(0, multiple=True)
    assert (confirms.outcome(batch), confirms.waiting, confirms.bytes, confirms.settled) == ((5, None), 0, 0, 5)


def test_only_what_stands_before_the_first_gap_counts() -> None:
    confirms = Confirms()
    batch = batch_of(confirms, 4)

    confirms.settle(2, multiple=False)
    confirms.settle(4, multiple=False)
    assert confirms.outcome(batch) == (0, None)
    confirms.settle(1, multiple=False)
    assert confirms.outcome(batch) == (2, None)
    assert batch.waiting == 1


def test_a_nack_within_a_range_takes_its_whole_range() -> None:
    confirms = Confirms()
    batch = batch_of(confirms, 6)

    confirms.settle(4, multiple=False)
    confirms.settle(2, multiple=True)
    confirms.settle(5, multiple=True, fault=FULL)
    confirms.settle(6, multiple=False)

    assert batch.faults.keys() == {3, 5}, "4 was confirmed before"
    assert confirms.outcome(batch) == (2, FULL)
    assert batch.waiting == 0


def test_a_message_that_came_back_fails_though_a_range_confirms_it() -> None:
    confirms = Confirms()
    batch = batch_of(confirms, 3)

    confirms.came_back(2, NO_QUEUE)
    assert batch.waiting == 3, "its confirm follows"
    confirms.settle(3, multiple=True)

    assert confirms.outcome(batch) == (1, NO_QUEUE)
    confirms.came_back(1, NO_QUEUE)
    assert confirms.outcome(batch) == (1, NO_QUEUE), "what is settled is settled"


def test_what_is_said_twice_or_of_nothing_is_no_news() -> None:
    confirms = Confirms()
    batch = batch_of(confirms, 2)
    for _ in range(2):
        confirms.settle(1, multiple=False)
        confirms.settle(9, multiple=False, fault=FULL)

    assert confirms.outcome(batch) == (1, None)
    assert confirms.settled == 1


def test_batches_that_are_mixed_have_an_outcome_each() -> None:
    confirms = Confirms()
    one, other = Batch(lambda: None), Batch(lambda: None)
    for batch in (one, other, one, other, one):
        confirms.add(batch, 1)

    confirms.settle(3, multiple=True)
    confirms.settle(5, multiple=False, fault=FULL)

    assert confirms.outcome(one) == (2, FULL)
    assert confirms.outcome(other) == (1, None)
    assert (one.waiting, other.waiting) == (0, 1)


def test_whatever_the_broker_says_each_message_is_settled_once() -> None:
    """Against a plain list of what became of each."""
    for seed in range(200):
        random = Random(seed)
        confirms, count = Confirms(), random.randint(1, 30)
        batch = batch_of(confirms, count)
        fate: dict[int, str] = {}
        while len(fate) < count:
            tag, multiple = random.randint(1, count), random.random() < 0.5
            word = random.choice(["ack", "ack", "nack"])
            for each in range(1 if multiple else tag, tag + 1):
                fate.setdefault(each, word)
            confirms.settle(tag, multiple, None if word == "ack" else FULL)
        good = next((tag - 1 for tag in range(1, count + 1) if fate[tag] == "nack"), count)
        assert confirms.outcome(batch) == (good, None if good == count else FULL), f"seed {seed}"
        assert (confirms.waiting, confirms.bytes, confirms.settled, batch.waiting) == (0, 0, count, 0)
