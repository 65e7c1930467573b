"""Billing, two bridges, the queue and the portal in memory: whatever is lost or restored, in the end all agree.

The rules are the real ones (resume, rewinds, positions, following, asking); only stores and wires are stand-ins. Time
is a number. A failure names its seed.
"""

import random
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import count

import pytest

from bridge.rewinds import Rewinds
from portal.asking import Asking, Step
from portal.following import Course, Source
from portal.positions import Position
from ticketflow.delivery.dialect import StreamState
from ticketflow.delivery.forks import newest
from ticketflow.delivery.resume import Forking, decide
from ticketflow.events.replay import Standing, StreamPosition
from ticketflow.feed import Hello

HEALING_ROUNDS = 60


@dataclass
class Book:
    """What billing's database holds of the stream."""

    epoch: int = 1
    acked: int = 0
    events: list[str] = field(default_factory=list)  # the first has seq 1
    forks: tuple[tuple[int, int], ...] = ()

    @property
    def last_seq(self) -> int:
        return len(self.events)


@dataclass
class Inbox:
    """What the portal's database holds."""

    position: Position | None = None
    seqs: dict[str, int | None] = field(default_factory=dict)  # of what was applied, by id
    phantoms: set[str] = field(default_factory=set)


class World:
    def __init__(self) -> None:
        self.now = 0.0
        self.book, self.inbox = Book(), Inbox()
        self.old_book, self.old_inbox = Book(), Inbox()
        self.bridges = [Rewinds(), Rewinds()]
        self.asking = Asking()
        self.queue: list[Source | StreamPosition] = []
        self.at: int | None = None  # the bridge to which billing is connected
        self.hello = Hello(1, "billing", 1, 1, 0, "billing")
        self.sent = 0
        self.foreign = False  # whether the portal has called a person
        self.ids = count(1)
        self.epochs = count(2)

    # -- billing

    def stamp(self, events: int) -> None:
        """Only in a session: see ticketflow.delivery.resume."""
        if self.at is not None:
            self.book.events += [f"e{next(self.ids)}" for _ in range(events)]

    def connect(self, bridge: int) -> None:
        book = self.book
        self.hello = Hello(1, "billing", book.epoch, 1, book.last_seq, "billing", book.forks)
        welcome = self.bridges[bridge].opened(self.hello, self.now)
        self.at = None
        resume = decide("billing", StreamState(book.epoch, book.last_seq, book.acked), welcome.epoch, welcome.watermark)
        if isinstance(resume, Forking):
            book.forks = newest([*book.forks, (book.epoch, resume.after_seq)])
            book.epoch = max(book.epoch, resume.epoch, next(self.epochs) * 10) + 1
        else:
            book.acked = self.sent = resume.after_seq
            self.at = bridge

    def send(self, events: int) -> None:
        if self.at is None or self.sent == self.book.last_seq:
            return
        bridge = self.bridges[self.at]
        first, last = self.sent + 1, min(self.sent + events, self.book.last_seq)
        self.publish_notice(self.at)
        bridge.received(self.hello, first, last)
        ids = self.book.events
        self.queue += [Source("billing", self.hello.epoch, seq, ids[seq - 1]) for seq in range(first, last + 1)]
        bridge.confirmed(self.hello, last)
        self.sent = self.book.acked = last

    def publish_notice(self, bridge: int) -> None:
        notice = self.bridges[bridge].notice("billing", self.now)
        if notice is not None:
            self.queue.append(notice)
            self.bridges[bridge].noticed("billing", self.now)

    def cut(self, _: int) -> None:
        self.at = None

    # -- accidents

    def restart_bridge(self, bridge: int) -> None:
        self.bridges[bridge] = Rewinds()
        if self.at == bridge:
            self.at = None

    def lose_messages(self, messages: int) -> None:
        del self.queue[:messages]

    def deliver_again(self, messages: int) -> None:
        self.queue[:0] = self.queue[:messages]

    def back_up(self, what: int) -> None:
        if what:
            self.old_book = deepcopy(self.book)
        else:
            self.old_inbox = deepcopy(self.inbox)

    def restore(self, what: int) -> None:
        if what:
            self.book, self.at = deepcopy(self.old_book), None
        else:
            self.inbox, self.asking = deepcopy(self.old_inbox), Asking()

    def exchange(self) -> None:
        """The bridges tell each other what they know of senders."""
        for seen in [seen for bridge in self.bridges for seen in bridge.untold()]:
            for bridge in self.bridges:
                bridge.overheard(seen)

    # -- the portal

    def consume(self, messages: int) -> None:
        batch, self.queue = self.queue[:messages], self.queue[messages:]
        if not batch:
            return
        inbox, course = self.inbox, Course(self.inbox.position)
        course.take(batch)
        fresh = {item.event_id for item in batch if isinstance(item, Source)} - inbox.seqs.keys()
        new = {event_id for event_id in fresh if event_id is not None}
        inbox.seqs |= {event_id: course.came[event_id] for event_id in new}
        present = {item.event_id for item in course.present if item.event_id is not None}
        for left in course.left:
            self.quarantine({id_ for id_, seq in inbox.seqs.items() if (seq or 0) > left.after_seq} - present)
        strays = {item.event_id for item in course.strays if item.event_id in new and item.event_id}
        inbox.phantoms |= strays - present
        for item in course.present:
            if item.event_id in inbox.phantoms and item.event_id not in new:
                inbox.phantoms.remove(item.event_id)
                inbox.seqs[item.event_id] = item.seq
        self.foreign = course.foreign is not None
        current = course.current(new)
        others = {id_: seq for id_, seq in inbox.seqs.items() if seq is not None and current.get(seq, id_) != id_}
        if others:
            course.collided(min(others.values()))
            self.quarantine(others.keys())
        inbox.position = course.position
        if course.position is not None:
            self.asking.settled("billing", course.position, self.now, behind=course.behind, resumed=course.resumed)

    def quarantine(self, lost: AbstractSet[str]) -> None:
        self.inbox.phantoms |= lost
        self.inbox.seqs |= dict.fromkeys(lost)

    def ask(self, heard: int) -> None:
        """Every bridge that hears the request is asked to judge; every order reaches all of them."""
        position = self.asking.positions.get("billing")
        if position is None or self.asking.step("billing", self.now) is Step.WAIT:
            return
        if position != self.inbox.position:
            assert self.inbox.position is not None
            self.asking.settled("billing", self.inbox.position, self.now)
            return
        self.asking.asked("billing", self.now, heard=bool(heard))
        if not heard or self.at is None:
            return
        standing = Standing(
            stream="billing", epoch=position.epoch, watermark=position.watermark, highest=position.highest
        )
        order = self.bridges[self.at].judged(standing, self.now)
        if order is not None:
            for bridge in self.bridges:
                bridge.ordered(order, self.now)
            self.at = None

    def pass_time(self, seconds: int) -> None:
        self.now += seconds
        self.exchange()
        if self.at is not None:
            self.publish_notice(self.at)

    # -- the end

    def heal(self) -> None:
        """Nothing goes wrong any more, and time passes."""
        for _ in range(HEALING_ROUNDS):
            while self.at is None:
                self.connect(0)
            self.publish_notice(self.at)
            self.send(1_000_000)
            self.consume(1_000_000)
            self.pass_time(61)
            self.ask(1)

    def settled(self) -> bool:
        return self.inbox.position is not None and self.inbox.position.missing == 0


Steps = dict[str, tuple[float, Callable[[World, int], None]]]

STEPS: Steps = {  # how likely, and what
    "stamp": (6, World.stamp),
    "send": (6, World.send),
    "consume": (6, World.consume),
    "ask": (4, lambda world, n: world.ask(n % 4)),
    "pass time": (3, lambda world, n: world.pass_time(7 * n)),
    "connect": (3, lambda world, n: world.connect(n % 2)),
    "cut": (1, World.cut),
    "deliver again": (0.5, World.deliver_again),
}
BRIDGES_FORGET: Steps = {"restart bridge": (0.5, lambda world, n: world.restart_bridge(n % 2))}
QUEUE_LOSES: Steps = {"lose messages": (0.7, World.lose_messages)}
PORTAL_LOSES: Steps = {
    "back up the portal": (1, lambda world, _: world.back_up(0)),
    "restore the portal": (0.7, lambda world, _: world.restore(0)),
}
BILLING_LOSES: Steps = {
    "back up billing": (1, lambda world, _: world.back_up(1)),
    "restore billing": (0.7, lambda world, _: world.restore(1)),
}
SEEDS = [range(first, first + 50) for first in range(0, 300, 50)]


def walked(seed: int, steps: Steps, *, remembering: bool = False) -> World:
    """A world that has gone through a hundred random happenings, and then healed."""
    rng = random.Random(seed)
    world = World()
    world.connect(0)
    for name in rng.choices(list(steps), [weight for weight, _ in steps.values()], k=100):
        steps[name][1](world, rng.randrange(10))
        if remembering:
            world.exchange()
    world.heal()
    return world


def assert_what_differs_is_known(world: World, seed: int) -> None:
    if not world.foreign:  # a person was called: the portal does not know what the two histories share
        assert world.settled(), seed
        assert set(world.book.events) <= world.inbox.seqs.keys(), seed
        assert world.inbox.seqs.keys() - set(world.book.events) == world.inbox.phantoms, seed


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_whatever_the_queue_and_the_portal_lose_comes_again(seeds: range) -> None:
    for seed in seeds:
        world = walked(seed, STEPS | BRIDGES_FORGET | QUEUE_LOSES | PORTAL_LOSES)

        assert world.settled(), seed
        assert world.inbox.seqs.keys() == set(world.book.events), seed
        assert not world.inbox.phantoms, seed


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_what_billing_has_lost_is_known_even_if_no_bridge_remembers_it(seeds: range) -> None:
    for seed in seeds:
        assert_what_differs_is_known(walked(seed, STEPS | BRIDGES_FORGET | BILLING_LOSES), seed)


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_what_billing_has_lost_is_known_even_if_the_portal_loses_history_too(seeds: range) -> None:
    """Not if all bridges have forgotten as well: then billing may restamp exactly as much as it had lost, unseen."""
    for seed in seeds:
        world = walked(seed, STEPS | BILLING_LOSES | PORTAL_LOSES, remembering=True)

        assert_what_differs_is_known(world, seed)
