"""stream: seqs have no gap and no double, and history that was lost was sent again.

- The sender's seqs are gapless; every one below the receiver's watermark is in its inbox.
- At the end the receiver has all, in the sender's epoch. An epoch that changes, or a last_seq that goes back, says that
  the sender has lost or forked its history, which no drill may bring about.
- A watermark that goes back below what was acknowledged is followed by a rewind: the sender's acked_seq is seen to go back
  as far, or a sender counted a rewind. (Below the ack only: what was not acknowledged is sent anyway.)
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise

from drills.checkers.finding import Finding, finding
from drills.history import History, Stream, StreamAt

NAME = "stream"

Seen = list[tuple[float, StreamAt]]


def check(history: History) -> Finding:
    problems: list[str] = []
    regressions = 0
    for stream in history.stores.streams:
        seen = [
            (sample.at_s, sample.streams[stream.name]) for sample in history.samples if stream.name in sample.streams
        ]
        problems += [*_gaps(stream), *_ends(stream), *_forks(stream, seen), *_no_rewind(stream, seen)]
        regressions += len(_regressions(seen))
    seqs = sum(event.seq is not None for stream in history.stores.streams for event in stream.staged)
    return finding(NAME, problems, f"{seqs} seqs without a gap; {regressions} watermarks went back and were rewound to")


def _gaps(stream: Stream) -> Iterator[str]:
    staged = [event.seq for event in stream.staged if event.seq is not None]
    yield from (f"{stream.name}: seq {seq} was given {n} times" for seq, n in Counter(staged).items() if n > 1)
    if not staged:
        return
    first = min(staged)
    yield from (
        f"{stream.name}: seq {run} is missing in the outbox"
        for run in _runs(set(range(first, stream.last_seq + 1)) - {*staged})
    )
    if any(seq > stream.last_seq for seq in staged):
        yield f"{stream.name}: seq {max(staged)} was given, and last_seq is {stream.last_seq}"
    if stream.watermark is not None:
        received = {event.seq for event in stream.received}
        missing = {seq for seq in staged if seq <= stream.watermark and seq not in received}
        yield from (
            f"{stream.name}: seq {run} is missing at {stream.receiver}, whose watermark is {stream.watermark}"
            for run in _runs(missing)
        )


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
        elif after.last_seq < before.last_seq:
            yield f"{stream.name}: last_seq went back from {before.last_seq} to {after.last_seq} about {at_s:.1f} s"


def _no_rewind(stream: Stream, seen: Seen) -> Iterator[str]:
    """Regressions that no rewind answers. A counted rewind answers one: which, nobody can tell."""
    unanswered = [
        (at_s, before, after)
        for at_s, before, after, acked in _regressions(seen)
        if acked > after and not any(later_s >= at_s and later.acked_seq <= after for later_s, later in seen)
    ]
    for at_s, before, after in unanswered[stream.rewinds :]:
        yield (
            f"{stream.name}: the watermark went back from {before} to {after} about {at_s:.1f} s, and no rewind followed"
        )


def _regressions(seen: Seen) -> list[tuple[float, int, int, int]]:
    """(at, watermark before, watermark after, the most that had been acknowledged), the lowest point of each."""
    found: list[tuple[float, int, int, int]] = []
    known = [(at_s, state.watermark, state.acked_seq) for at_s, state in seen if state.watermark is not None]
    acked = 0
    for (_, before, acked_before), (at_s, after, _) in pairwise(known):
        acked = max(acked, acked_before)
        if after < before:
            found.append((at_s, before, after, acked_before))
    return found


def _runs(seqs: Iterable[int]) -> Iterator[str]:
    """Missing numbers as people write them: 5, 7 to 9."""
    ordered = sorted(seqs)
    start = 0
    for index, seq in enumerate(ordered):
        if index + 1 == len(ordered) or ordered[index + 1] != seq + 1:
            yield str(seq) if seq == ordered[start] else f"{ordered[start]} to {seq}"
            start = index + 1
