"""stream: seqs have no gap and no double, and history that was lost was sent again.

- The sender's seqs are gapless; every one below the receiver's watermark is in its inbox.
- At the end the receiver has all, in the sender's epoch. An epoch that changes, or a last_seq that goes back below the
  receiver's watermark, says that the sender has lost or forked its history.
- A watermark that goes back below what was acknowledged is followed by a rewind: acked_seq is seen to go back as far,
  or a sender counted a rewind, or (both may be over between two samples, or die with their process) all that was lost
  is in the inbox at the end. Below the ack only: what was not acknowledged is sent anyway.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from drills.checkers.finding import Finding, finding
from drills.history import History, Stream, StreamAt

NAME = "stream"

Seen = list[tuple[float, StreamAt]]


class Regression(NamedTuple):
    """A watermark that went back, and when that was first seen."""

    at_s: float
    from_seq: int
    to_seq: int


def check(history: History) -> Finding:
    problems: list[str] = []
    regressions = 0
    for stream in history.stores.streams:
        name = stream.name
        seen = [(sample.at_s, sample.streams[name]) for sample in history.samples if name in sample.streams]
        problems += [*_gaps(stream), *_ends(stream), *_forks(stream, seen), *_no_rewind(stream, seen)]
        regressions += len(regressions_of(seen))
    seqs = sum(event.seq is not None for stream in history.stores.streams for event in stream.staged)
    return finding(NAME, problems, f"{seqs} seqs without a gap; {regressions} times a watermark went back")


def _gaps(stream: Stream) -> Iterator[str]:
    staged = [event.seq for event in stream.staged if event.seq is not None]
    if not staged:
        return
    for seq, times in Counter(staged).items():
        if times > 1:
            yield f"{stream.name}: seq {seq} was given {times} times"
    if max(staged) > stream.last_seq:
        yield f"{stream.name}: seq {max(staged)} was given, and last_seq is {stream.last_seq}"
    for run in _runs(set(range(min(staged), stream.last_seq + 1)) - set(staged)):
        yield f"{stream.name}: seq {run} is missing in the outbox"
    if stream.watermark is not None:
        received = {event.seq for event in stream.received}
        for run in _runs({seq for seq in staged if seq <= stream.watermark and seq not in received}):
            yield f"{stream.name}: seq {run} is missing at {stream.receiver}, whose watermark is {stream.watermark}"


def _ends(stream: Stream) -> Iterator[str]:
    if stream.receiver_epoch is not None and stream.receiver_epoch != stream.epoch:
        yield f"{stream.name}: {stream.receiver} stands in epoch {stream.receiver_epoch}, the sender in {stream.epoch}"
    reached = stream.acked_seq if stream.watermark is None else stream.watermark
    what = "the ack" if stream.watermark is None else f"{stream.receiver}'s watermark"
    if reached != stream.last_seq:
        yield f"{stream.name}: {what} is {reached} at the end, the last seq {stream.last_seq}"


def _forks(stream: Stream, seen: Seen) -> Iterator[str]:
    end = StreamAt(stream.epoch, stream.last_seq, stream.acked_seq, stream.watermark)
    for (_, before), (at_s, after) in pairwise([*seen, (seen[-1][0] if seen else 0.0, end)]):
        if after.epoch != before.epoch:
            yield f"{stream.name}: the epoch changed from {before.epoch} to {after.epoch} about {at_s:.1f} s"
        elif before.watermark is not None and after.last_seq < before.watermark:
            yield (
                f"{stream.name}: last_seq went back from {before.last_seq} to {after.last_seq} about {at_s:.1f} s,"
                f" below the watermark {before.watermark}"
            )


def _no_rewind(stream: Stream, seen: Seen) -> Iterator[str]:
    """Regressions that no rewind answers. A counted rewind answers one: which, nobody can tell."""
    received = {event.seq for event in stream.received}
    missing = {event.seq for event in stream.staged} - received
    unanswered = [
        lost
        for lost in regressions_of(seen)
        if not any(at_s >= lost.at_s and state.acked_seq <= lost.to_seq for at_s, state in seen)
        and not missing.isdisjoint(range(lost.to_seq + 1, lost.from_seq + 1))
    ]
    for lost in unanswered[stream.rewinds :]:
        yield (
            f"{stream.name}: the watermark went back from {lost.from_seq} to {lost.to_seq} about {lost.at_s:.1f} s,"
            " and no rewind followed"
        )


def regressions_of(seen: Seen) -> list[Regression]:
    """How often, and how far, a receiver went back below what it had acknowledged."""
    found = []
    known = [(at_s, state.watermark, state.acked_seq) for at_s, state in seen if state.watermark is not None]
    for (_, before, acked), (at_s, after, _) in pairwise(known):
        if after < min(before, acked):
            found.append(Regression(at_s, before, after))
    return found


def _runs(seqs: Iterable[int]) -> Iterator[str]:
    """Missing numbers as people write them: 5, 7 to 9."""
    ordered = sorted(seqs)
    start = 0
    for index, seq in enumerate(ordered):
        if index + 1 == len(ordered) or ordered[index + 1] != seq + 1:
            yield str(seq) if seq == ordered[start] else f"{ordered[start]} to {seq}"
            start = index + 1
