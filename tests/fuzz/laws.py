"""What holds for one end of a session after anything that a peer, the clock or the line may do to it.

The window, the seqs and the output are counted here anew, from what came out: the protocol's own counts are not asked.
"""

from collections import deque
from itertools import pairwise

import msgpack

from tests.fuzz.ends import LAST_SEQ, WATERMARK, End
from tests.fuzz.judge import well_formed
from ticketflow.feed.errors import FeedError
from ticketflow.feed.frames import HEADER_BYTES
from ticketflow.feed.limits import COURTESIES_PER_SECOND, FRAME_BYTES_MAX
from ticketflow.feed.messages import Ack, Events, Welcome
from ticketflow.feed.protocol import Ended
from ticketflow.feed.receiving import ReceiverProtocol
from ticketflow.feed.states import State

COURTESY_BYTES = 20  # a PONG or a repeated ACK, with its header
REFUSE_BYTES = 1024  # one, at the end


def after_a_step(end: End, arrived: int, waiting_before: int, waiting_since: float, *, acted: bool) -> None:
    """``arrived``: how many bytes the peer sent in this step; ``waiting_before``: of output, before it."""
    core = end.core
    told = [event for event in end.events if isinstance(event, Ended)]
    assert len(told) == (core.state is State.CLOSED), "the end is told once, when it comes"
    if told:
        assert end.events[-1] is told[0], "nothing follows the end"
        assert isinstance(told[0].error, FeedError)
        assert core.error is told[0].error
        assert core.next_deadline() is None
    if isinstance(core, ReceiverProtocol):
        assert sum(len(frame.bodies) for frame in end.unacked) <= core.limits.window_events
        assert sum(len(body) for frame in end.unacked for body in frame.bodies) <= core.limits.window_bytes
    held = len(core._reader._begun)
    assert held <= FRAME_BYTES_MAX + HEADER_BYTES + arrived, f"{held} bytes are held"
    if not acted:
        windows = end.now - waiting_since + 2
        allowed = windows * COURTESIES_PER_SECOND * COURTESY_BYTES + REFUSE_BYTES
        assert core.pending_bytes - waiting_before <= allowed, "a peer that does not read makes us queue"
    if core.next_deadline() is None:
        greeted_receiver = isinstance(core, ReceiverProtocol) and core.state is State.GREETED
        assert core.state is State.CLOSED or greeted_receiver, "nobody waits for ever"


def at_the_end(end: End) -> None:
    end.take()
    messages = _messages(bytes(end.output))
    tags = [message[0] for message in messages]
    assert tags.count("refuse") + tags.count("goodbye") <= 2
    assert "refuse" not in tags[:-1], "nothing follows a REFUSE"
    if isinstance(end.core, ReceiverProtocol):
        _receivers_seqs(end)
        acks = [message[1] for message in messages if message[0] == "ack"]
        assert acks == sorted(acks), "an ACK never goes back"  # type: ignore[type-var]
    else:
        _sender_kept_the_window(end, messages)


def _messages(output: bytes) -> list[list[object]]:
    """Everything this end has said, each judged by the document."""
    messages: list[list[object]] = []
    while output:
        length = int.from_bytes(output[:4], "big")
        body = output[4 : 4 + length]
        assert len(body) == length, "a frame is written whole"
        assert well_formed(body) is True, body
        messages.append(msgpack.unpackb(body))
        output = output[4 + length :]
    return messages


def _receivers_seqs(end: End) -> None:
    """Seqs come out gapless; what was acknowledged before a frame came may be left out."""
    frames = [event for event in end.events if isinstance(event, Events)]
    for before, after in pairwise(frames):
        known = max([before.last_seq, *(ack for ack in end.acks if ack < after.first_seq)])
        assert after.first_seq == known + 1, "each frame follows the one before"
    if frames and end.watermark is not None:
        assert frames[0].first_seq <= max(end.watermark, *end.acks) + 1, "the first may go back, but leave nothing out"


def _sender_kept_the_window(end: End, messages: list[list[object]]) -> None:
    """All that was sent fits into the window that WELCOME gave and the ACKs opened, whenever it was sent."""
    welcome = next((event for event in end.events if isinstance(event, Welcome)), None)
    frames = [message for message in messages if message[0] == "events"]
    if welcome is None:
        assert not frames, "no EVENTS without WELCOME"
        return
    acks = [event.seq for event in end.events if isinstance(event, Ack)]
    assert acks == sorted(acks)
    assert all(ack <= max(LAST_SEQ, WATERMARK, welcome.watermark or 0, _last(frames)) for ack in acks)
    open_frames: deque[tuple[int, int, int]] = deque()
    sent = welcome.watermark
    for _, first, bodies in frames:
        assert isinstance(first, int)
        assert isinstance(bodies, list)
        assert sent is None or first >= sent + 1, "no seq is sent twice in a session"
        sent = first + len(bodies) - 1
        open_frames.append((sent, len(bodies), sum(map(len, bodies))))
    newest = max(acks, default=welcome.watermark or 0)
    left = [frame for frame in open_frames if frame[0] > newest]
    assert sum(frame[1] for frame in left) <= welcome.window_events
    assert sum(frame[2] for frame in left) <= welcome.window_bytes


def _last(frames: list[list[object]]) -> int:
    if not frames:
        return 0
    _, first, bodies = frames[-1]
    assert isinstance(first, int)
    assert isinstance(bodies, list)
    return first + len(bodies) - 1
