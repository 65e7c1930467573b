"""How far two histories agree, checked against histories that really were lived."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ticketflow.delivery.forks import History, follows, joined, newest, shared

ONE = History(10)


@pytest.mark.parametrize(
    ("receiver", "position", "sender", "keeps"),
    [
        (ONE, 8, History(10), None),  # the same epoch: nothing to follow
        (ONE, 8, History(20, ((10, 5),)), 5),
        (ONE, 3, History(20, ((10, 5),)), 5),  # the receiver had lost history too
        (ONE, 9, History(30, ((10, 5), (20, 7))), 5),  # two forks in a row
        (ONE, 9, History(30, ((10, 7), (20, 4))), 4),  # the second one went back behind the first
        (History(20, ((10, 5),)), 9, History(30, ((10, 5), (20, 7))), 7),
        (History(20, ((10, 5),)), 9, History(30, ((10, 3),)), 3),  # restored to before its own fork, and forked again
        (History(20, ((10, 5),)), 9, History(30, ((10, 8),)), 5),
        (History(20, ((10, 5),)), 9, History(10), None),  # restored to before its own fork: it must see our epoch
        (ONE, 8, History(20), None),  # a stranger
        (ONE, 0, History(20), 0),  # whoever has nothing follows anybody
        (ONE, 0, History(5), 0),
    ],
)
def test_a_receiver_keeps_what_both_are_known_to_share(
    receiver: History, position: int, sender: History, keeps: int | None
) -> None:
    assert follows(receiver, position, sender) == keeps


def test_only_so_many_forks_are_told_as_a_hello_may_carry() -> None:
    forks = [(epoch, epoch) for epoch in range(1, 40)]
    assert newest(forks) == tuple(forks[-16:])
    assert joined(History(40, newest(forks)), History(41, ((40, 3),))) == (*forks[-15:], (40, 3))


@dataclass
class Sender:
    """Lives: sends, is backed up, is restored, forks. What it sends is a number that never comes twice."""

    epoch: int = 1
    sent: list[int] = field(default_factory=list)
    forks: list[tuple[int, int]] = field(default_factory=list)

    @property
    def history(self) -> History:
        return History(self.epoch, newest(self.forks))

    def fork(self, epoch: int) -> None:
        self.forks.append((self.epoch, len(self.sent)))
        self.epoch = epoch

    def copy(self) -> "Sender":
        return Sender(self.epoch, list(self.sent), list(self.forks))


@dataclass
class Receiver:
    history: History = field(default_factory=lambda: History(1))
    has: list[int] = field(default_factory=list)

    def meets(self, sender: Sender) -> bool:
        """HELLO, and what the sender does at WELCOME; whether events may flow."""
        keeps = follows(self.history, len(self.has), sender.history)
        if keeps is not None:
            self.history = History(sender.epoch, joined(self.history, sender.history))
            del self.has[keeps:]
        return self.history.epoch == sender.epoch and len(self.has) <= len(sender.sent)


def agree(history: History, has: list[int], sender: Sender) -> bool:
    """Whether what a copy has of the sender's epoch is what the sender has."""
    known = has[: history.ends.get(sender.epoch, 0)]
    return known[: len(sender.sent)] == sender.sent[: len(known)]


STEPS = st.lists(
    st.sampled_from(["send", "send", "deliver", "deliver", "back up", "restore", "restore receiver"]), max_size=40
)


@settings(max_examples=400)
@given(steps=STEPS)
def test_whatever_is_restored_when_a_receiver_has_a_prefix_of_its_senders_history(steps: list[str]) -> None:
    sender, receiver = Sender(), Receiver()
    backups = [sender.copy()]
    older = [(receiver.history, list(receiver.has))]
    number, epoch, lived = 0, 1, 0
    for step in [*steps, "deliver"]:
        if step == "send" and lived:  # nothing is stamped before the first exchange of a session
            number += 1
            sender.sent.append(number)
            # The limit: seqs of an epoch of which neither end remembered anything are given again, and a copy from
            # before that cannot be told from one of now.
            backups = [copy for copy in backups if agree(copy.history, copy.sent, sender)]
            backups = backups or [sender.copy()]
            older = [copy for copy in older if agree(*copy, sender)]
            older = older or [(receiver.history, list(receiver.has))]
        elif step == "back up":
            backups.append(sender.copy())
            older.append((receiver.history, list(receiver.has)))
        elif step == "restore":
            sender, lived = backups[number % len(backups)].copy(), 0
        elif step == "restore receiver":
            history, has = older[number % len(older)]
            receiver, lived = Receiver(history, list(has)), 0
        elif step == "deliver":
            for _ in range(3):
                if receiver.meets(sender):
                    break
                epoch += 1
                assert receiver.history.epoch >= sender.epoch, "a person would be needed"
                sender.fork(max(epoch, receiver.history.epoch + 1))
                epoch = sender.epoch
            lived = 1
            assert receiver.history.epoch == sender.epoch
            assert receiver.has == sender.sent[: len(receiver.has)]
            receiver.has += sender.sent[len(receiver.has) :]
            assert receiver.has == sender.sent


@given(st.lists(st.integers(0, 30), min_size=1, max_size=10), st.integers(1, 8))
def test_what_is_shared_is_the_same_seen_from_either_end(afters: list[int], split: int) -> None:
    forks = tuple((10 * (index + 1), after) for index, after in enumerate(afters))
    one = History(1000, forks)
    other = History(2000, (*forks[: split % (len(forks) + 1)], (999, 5)) if split % 2 else forks)
    assert shared(one, other) == shared(other, one)
